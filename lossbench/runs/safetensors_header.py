"""The head of a safetensors file, checked before the tensors are read: what they need, and that the file has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LossbenchError
from ..strict_files import opened
from .json_text import FieldError, parse
from .typed_json import Count, read_as

_MOST_HEADER = 16 * 2**20  # bytes
_MOST_TENSORS = 50_000
_WIDTH = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in its file.

    Attributes:
        dtype: as safetensors names it.
        shape: of the tensor.
        data_offsets: first and last byte, from the end of the header.
    """

    dtype: str
    shape: tuple[Count, ...]
    data_offsets: tuple[Count, Count]

    def __post_init__(self) -> None:
        start, end = self.data_offsets
        if self.dtype not in _WIDTH or end - start != math.prod(self.shape) * _WIDTH[self.dtype]:
            raise ValueError(f"{self.dtype} of shape {self.shape} does not fill {end - start:,} bytes")


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself.

    Attributes:
        tensors: by name.
        metadata: of the file.
    """

    tensors: dict[str, StoredTensor] = field(repr=False)
    metadata: dict[str, str]


def read_tensor_file(
    path: Path, most: int, *, error: type[LossbenchError], links: bool = False
) -> tuple[bytes, Header]:
    """Return the content of a safetensors file, after its head was found to fit its size.

    Args:
        path, most, error, links: as for `strict_files.opened`.

    Raises:
        LossbenchError: of the type `error`.
    """
    with opened(path, most, links=links, error=error) as file:
        try:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MOST_HEADER:
                raise FieldError("it is not a safetensors file")
            text = file.read(length)
            header = _header(parse(text))
            size = max((tensor.data_offsets[1] for tensor in header.tensors.values()), default=0)
            content = bytearray(length.to_bytes(8, "little") + text)
            while len(content) <= 8 + length + size and (part := file.read(2**20)):
                content += part
        except OSError as failure:
            raise error(f"{path}: {failure.strerror or failure}") from failure
        except FieldError as failure:
            raise error(f"{path} does not hold tensors as a run writes them: {failure}") from failure
    if len(content) != 8 + length + size:
        raise error(f"{path} is truncated or damaged: its tensors take {size:,} bytes, and it has others")
    return bytes(content), header


def _header(content: Any) -> Header:
    if not isinstance(content, dict):
        raise FieldError("its head is not an object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FieldError("__metadata__ is not an object of texts")
    if len(content) > _MOST_TENSORS:
        raise FieldError(f"its head lists {len(content):,} tensors; at most {_MOST_TENSORS:,} are read")
    return Header({name: read_as(StoredTensor, value, name) for name, value in content.items()}, metadata)
