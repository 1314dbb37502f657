"""Read the tensors of a torch file with `weights_only=True`: a state_dict, or a checkpoint that contains some."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModelError

_MOST_TENSORS = 100_000
# Objects without tensors that checkpoints of training often contain. They are read as `_Ignored`, never as themselves.
_HARMLESS = (
    "argparse.Namespace",
    *(f"pathlib.{kind}Path" for kind in ("Posix", "PurePosix", "Windows", "PureWindows", "")),
    *(f"numpy.{name}" for name in ("dtype", "ndarray")),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
)


class Contents(NamedTuple):
    """The tensors of a torch file.

    Attributes:
        tensors: tensors by name; those of a dictionary within the file are named "group.tensor".
        groups: names of these dictionaries.
    """

    tensors: dict[str, Tensor]
    groups: tuple[str, ...]


class _Ignored:
    """A stand-in for an object other than a tensor; it stores nothing."""

    def __new__(cls, *arguments: object) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_torch_file(blob: bytes, path: Path, most: int) -> Contents:
    """Return the tensors at the top of a torch file and one level below.

    Numbers, texts and other values beside the tensors, such as the options of a training, are ignored.

    Args:
        blob: content of the file.
        path: path of the file, for messages.
        most: bytes that its parts may have when unpacked.

    Raises:
        ModelError: the file is damaged or too large, contains objects other than tensors and plain values, or has no
            tensors.
    """
    content = _loaded(blob, path, most)
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path} contains a {type(content).__name__}; expected a state_dict of tensors")
    tensors: dict[str, Tensor] = {}
    groups = []
    for name, value in content.items():
        inner = _tensors(value, path, f"{name}.") if isinstance(value, dict) else _tensors({name: value}, path)
        if inner and isinstance(value, dict):
            groups.append(str(name))
        if twice := next((n for n in inner if n in tensors), None):
            raise ModelError(f"{path} contains two tensors named {twice!r}")
        tensors |= inner
        if len(tensors) > _MOST_TENSORS:
            raise ModelError(f"{path} contains more than {_MOST_TENSORS:,} tensors")
    if not tensors:
        kinds = ", ".join(f"a {type(value).__name__} under {name!r}" for name, value in list(content.items())[:3])
        raise ModelError(
            f"{path} contains {kinds} and no tensors at its top or one level below; expected a state_dict of tensors"
        )
    return Contents(tensors, tuple(groups))


def _tensors(content: dict[Any, Any], path: Path, start: str = "") -> dict[str, Tensor]:
    """Return the tensors of a dictionary, with `start` in front of their names."""
    found = {}
    for name, value in content.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            continue
        if value.layout is not torch.strided or value.is_nested or value.is_quantized or value.is_meta:
            kind = "sparse" if value.layout is not torch.strided else "quantized or empty"
            raise ModelError(f"{path} contains a {kind} tensor under {start + name!r}; expected only plain tensors")
        found[start + name] = value.detach()
    return found


def _loaded(blob: bytes, path: Path, most: int) -> Any:
    try:
        if blob.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(blob)) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > most:
                raise ModelError(f"{path} unpacks to {unpacked:,} bytes; the limit is {most:,}")
        ignored = torch.serialization.safe_globals([(_Ignored, name) for name in _HARMLESS])
        with ignored, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the old names of storages
            return torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"names {named[1]}" if named else "is damaged or contains more than tensors"
        raise ModelError(
            f"{path} {what}, which is not part of a state_dict of tensors, so it is refused. Nothing was executed. If "
            "you trust its author, load it with the code that wrote it and save only the state_dict: "
            "torch.save(model.state_dict(), 'weights.pth')"
        ) from error
    except (ModelError, KeyboardInterrupt):
        raise
    except Exception as error:  # a damaged file raises any kind of exception
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} is a truncated or damaged torch file ({reason}); download it again") from error
