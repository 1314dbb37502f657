"""Read a weight file once: its kind, digest and tensors. Nothing in the file is executed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from ..errors import ModelError
from ..strict_files import read_bytes
from ..what_is import kind_of_content, what_is
from .pickled_arrays import read_pickled_arrays
from .torch_file import read_torch_file

MAX_BYTES = 2**30  # VGGFace2's files have 175 MB, or 260 MB if Python 3 wrote them at protocol 2
MOST_BYTES = 4 * 2**30  # of files for any model: one with 300 million parameters and its optimizer's state
NUMPY_PICKLE, TORCH_FILE, SAFETENSORS = "numpy pickle", "torch file", "safetensors"
# torch.save started its files with this pickled number before it wrote zip archives.
_TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The content of a weight file.

    Attributes:
        path: path of the file.
        container: `NUMPY_PICKLE`, `TORCH_FILE` or `SAFETENSORS`.
        sha256: hexadecimal digest of the whole file.
        tensors: stored tensors by name.
        metadata: metadata of a safetensors file.
        groups: names of the dictionaries of a torch file that contain tensors, which are named "group.tensor".
    """

    path: Path
    container: str
    sha256: str
    tensors: dict[str, Tensor] = field(repr=False)
    metadata: dict[str, str]
    groups: tuple[str, ...] = ()


def read_weights_file(path: Path, most: int = MAX_BYTES) -> WeightsFile:
    """Read a NumPy pickle, a torch file or a safetensors file, whatever its extension.

    Args:
        path: path of the file.
        most: bytes that it may have.

    Raises:
        ModelError: the file does not exist, is too large, of another kind, damaged, or contains no arrays.
    """
    blob = _content(path, most)
    metadata: dict[str, str] = {}
    groups: tuple[str, ...] = ()
    if blob.startswith(b"PK\x03\x04") or blob[2:].startswith(_TORCH_MAGIC):
        container, (tensors, groups) = TORCH_FILE, read_torch_file(blob, path, most)
    elif blob[8:9] == b"{" and int.from_bytes(blob[:8], "little") < len(blob):
        container, tensors = SAFETENSORS, _safetensors(blob, path)
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        metadata = header.get("__metadata__", {})
    elif blob[:1] == b"\x80" or blob[:1] in (b"(", b"}"):
        arrays = read_pickled_arrays(blob, str(path))
        container, tensors = NUMPY_PICKLE, {name: _tensor(array) for name, array in arrays.items()}
    else:
        raise ModelError(f"{path} is not a weight file: {_looks_like(blob)}; expected a pickle, .pth or .safetensors")
    sha256 = hashlib.sha256(blob).hexdigest()
    return WeightsFile(path=path, container=container, sha256=sha256, tensors=tensors, metadata=metadata, groups=groups)


def _content(path: Path, most: int) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a directory; expected a weight file; it is {what_is(path)}")
        if not path.exists():
            raise ModelError(f"{path}: no such weight file")
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    return read_bytes(path, most, links=True, error=ModelError)


def _safetensors(blob: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return dict(from_safetensors(blob))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is a truncated or damaged safetensors file ({error}); download it again") from error


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a writable copy in native byte order."""
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _looks_like(blob: bytes) -> str:
    kind, start = kind_of_content(blob), f"it starts with {blob[:8]!r}"
    return f"{kind} ({start})" if kind else start if blob else "zero bytes"
