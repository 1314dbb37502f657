"""Read arrays of an npz file, each with its header checked before any data is read."""

from __future__ import annotations

import lzma
import math
import re
import sys
import zipfile
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# What reading a damaged archive raises. NotImplementedError: its compression is unknown; RuntimeError: it is encrypted.
ZIP_ERRORS = (
    OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
_LARGE, _MOST_PACKED = 64 * 2**20, 50  # bytes, and the maximum compression ratio of larger arrays
_MOST_NAME = 4 * 4096  # bytes of a sample's name
_MOST_HEADER = 1000  # bytes
_HEADER = re.compile(
    r"\{'descr': '(?P<type>[<>|=]?(?:[fiubSU]\d{1,5}|O))', 'fortran_order': (?P<order>True|False), "
    r"'shape': \((?P<shape>(\d{1,15}, ?)*(\d{1,15})?)\), \}\s*"
)


class NpzReader:
    """Arrays of an npz file, each with its header checked first."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.members = set(archive.namelist())

    def numbers(self, name: str, shape: tuple[int, ...], kind: str) -> Array:
        array = self._array(name, shape, kind)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        return array

    def floats(self, name: str, shape: tuple[int, ...]) -> Array:
        return self._array(name, shape, "f")

    def labels(self, name: str, rows: int, classes: int) -> Array:
        array = self._array(name, (rows,), "i").astype(np.int64)
        if len(array) and not 0 <= array.min() <= array.max() < classes:
            raise ValueError(f"{name} holds {array.min()} to {array.max()}; expected 0 to {classes - 1}")
        return array

    def names(self, name: str, rows: int) -> Array:
        return self._array(name, (rows,), "U")

    def optional(self, name: str, shape: tuple[int, ...]) -> Array | None:
        return self.floats(name, shape) if f"{name}.npy" in self.members else None

    def centers(self) -> Array | None:
        """Centers of any form: a loss of another package may keep them in its own way."""
        return self._array("centers", None, "f") if "centers.npy" in self.members else None

    def columns(self) -> dict[str, Array]:
        """Return all arrays of numbers and text, of any shape."""
        names = [name.removesuffix(".npy") for name in self.archive.namelist() if name.endswith(".npy")]
        return {name: self._array(name, None, None) for name in names}

    def _array(self, name: str, shape: tuple[int, ...] | None, kind: str | None) -> Array:
        if f"{name}.npy" not in self.members:
            raise ValueError(f"it has no array {name}")
        info = self.archive.getinfo(f"{name}.npy")
        with self.archive.open(info) as member:
            found, fortran, dtype = _header(member)
            if dtype.kind == "O":
                raise ValueError(f"{name} holds Python objects, which are not loaded; save text with dtype=str")
            widest = _MOST_NAME if dtype.kind in "US" else 8
            if found != (shape or found) or dtype.kind != (kind or dtype.kind):
                raise ValueError(f"{name} is {found} of {dtype}; the record expects {shape} of kind {kind!r}")
            if dtype.itemsize > widest:
                raise ValueError(f"{name} has values of {dtype.itemsize:,} bytes; at most {widest:,} are read")
            size = math.prod(found) * dtype.itemsize
            if size > max(_LARGE, _MOST_PACKED * info.compress_size):
                raise ValueError(f"{name} would unpack {info.compress_size:,} bytes to {size:,}; save it uncompressed")
            content = member.read(size)
        if len(content) != size:
            raise ValueError(f"{name} has {len(content):,} bytes of data, expected {size:,}")
        array = np.frombuffer(content, dtype=dtype)
        letters = np.dtype(np.uint32).newbyteorder(dtype.byteorder)
        if dtype.kind == "U" and array.size and array.view(letters).max(initial=0) > sys.maxunicode:
            raise ValueError(f"{name} holds numbers that are not characters")
        return array.reshape(found, order="F" if fortran else "C")


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type at the head of an npy file. NumPy would parse the header as Python source."""
    head = member.read(10)
    if head[:8] not in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):
        raise ValueError("it has an array that is not in npy format 1 or 2")
    length = int.from_bytes(head[8:10], "little")
    if head[6] == 2:
        length += int.from_bytes(member.read(2), "little") << 16
    text = member.read(min(length, _MOST_HEADER)).decode("latin1")
    found = _HEADER.fullmatch(text)
    if found is None or len(text) != length:
        raise ValueError(f"it has an array with the header {text[:60]!r}")
    shape = tuple(int(size) for size in found["shape"].split(",") if size.strip())
    return shape, found["order"] == "True", np.dtype(found["type"])
