"""A file of decoded images that processes and runs share: written once, then read image by image.

Its first block is the line `lossbench images 1`, a line of JSON (`Head`) and zeros. An index with an entry per image
follows, then the pixels: (H, W, 3) bytes per image, in the order of the index. Numbers are little-endian.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
import weakref
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from ..errors import DataError
from ..strict_files import open_regular
from .reading import Reading
from .table import Pixels

BLOCK = 4096
ENTRY = np.dtype([("key", "V16"), ("start", "<u8"), ("height", "<u4"), ("width", "<u4"), ("crc", "<u4")])
_MAGIC, FORMAT = b"lossbench images ", 1
_MOST_IMAGES = 50_000_000


class UnusableCacheError(Exception):
    """Carries only the reason; the callers add the file name."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the first block of a cache holds.

    Attributes:
        images: number of images.
        source_size, decoding: as in `Reading`.
        pillow: version of Pillow that decoded the images.
        sources: SHA-256 of the sorted keys of the image files, which change with the files.
        index: SHA-256 of the index.
        size: size of the file in bytes.
    """

    images: int
    source_size: int
    decoding: str
    pillow: str
    sources: str
    index: str
    size: int

    def __post_init__(self) -> None:
        numbers = (self.images, self.source_size, self.size)
        if not all(type(number) is int and number >= 0 for number in numbers) or self.images > _MOST_IMAGES:
            raise ValueError("a number is outside its range")

    def block(self) -> bytes:
        """Return the first block of a file."""
        return (b"%s%d\n%s\n" % (_MAGIC, FORMAT, json.dumps(dataclasses.asdict(self)).encode())).ljust(BLOCK, b"\0")


def sources_digest(keys: Iterable[bytes]) -> str:
    """Return the SHA-256 of the sorted keys of image files."""
    return hashlib.sha256(b"".join(sorted(keys))).hexdigest()


class ImageCache:
    """Decoded images in a file, safe to read from several threads and processes.

    Args:
        path: path of the file.
        reading: how its images must have been read.

    Raises:
        UnusableCacheError: the file is truncated, damaged, no cache, or one of another format, version or reading.
        FileNotFoundError: there is no such file.

    Attributes:
        head: content of its first block.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading = path, reading
        self._open()

    def _open(self) -> None:
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UnusableCacheError((error.strerror or str(error)).lower()) from error
        self._file, self._lock = file, threading.Lock()
        weakref.finalize(self, file.close)
        size = os.fstat(file.fileno()).st_size
        self.head = _read_head(file, size, self.reading)
        index = file.read(self.head.images * ENTRY.itemsize)
        if hashlib.sha256(index).hexdigest() != self.head.index:
            raise UnusableCacheError("its index is damaged")
        self._index: npt.NDArray[Any] = np.frombuffer(index, ENTRY)
        self._checked = np.zeros(self.head.images, dtype=np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "reading": self.reading, "head": self.head}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file in another process.

        Raises:
            DataError: it has been replaced or removed.
        """
        self.path, self.reading = state["path"], state["reading"]
        try:
            self._open()
        except (OSError, UnusableCacheError) as error:
            raise DataError(f"{self.path}: {error}") from error
        if self.head != state["head"]:
            raise DataError(f"{self.path} was replaced while a run used it; start or resume the run again")

    def entries(self) -> dict[bytes, int]:
        """Return key of the image file -> number of the image."""
        return {key: number for number, key in enumerate(self._index["key"].tolist())}

    def pixels(self, number: int) -> Pixels:
        """Return the (H, W, 3) pixels of an image, which cannot be written.

        Raises:
            DataError: the file cannot be read, or is no longer as it was written.
        """
        entry = self._index[number]
        height, width = int(entry["height"]), int(entry["width"])
        try:
            data = self._read(int(entry["start"]), height * width * 3)
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror or error}") from error
        whole = len(data) == height * width * 3
        if not self._checked[number]:
            whole = whole and zlib.crc32(data) == int(entry["crc"])
            self._checked[number] = whole
        if not whole:
            raise DataError(f"{self.path}: cached image {number} is damaged; remove this file, and it is made again")
        return np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3)

    def _read(self, start: int, size: int) -> bytes:
        """Return bytes of the file. They are not mapped: a mapped file that is cut off would end the process."""
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, start)
        with self._lock:  # Windows
            self._file.seek(start)
            return self._file.read(size)


def _read_head(file: BufferedReader, size: int, reading: Reading) -> Head:
    """Return the content of the first block, after checking that the file is one that this version wrote whole."""
    block = file.read(BLOCK)
    line, _, rest = block.partition(b"\n")
    if not line.startswith(_MAGIC):
        raise UnusableCacheError("not a cache of images")
    if (found := line.removeprefix(_MAGIC)) != b"%d" % FORMAT:
        raise UnusableCacheError(f"written in format {found[:20].decode(errors='replace')}; this version has {FORMAT}")
    try:
        head = Head(**json.loads(rest.partition(b"\n")[0]))
    except (TypeError, ValueError) as error:
        raise UnusableCacheError("its head is damaged") from error
    if size != head.size or BLOCK + head.images * ENTRY.itemsize > size:
        raise UnusableCacheError(f"truncated: {size:,} bytes, expected {head.size:,}")
    if (head.source_size, head.decoding) != (reading.source_size, reading.decoding):
        raise UnusableCacheError(
            f"its images were read with source size {head.source_size} and {head.decoding} decoding, expected "
            f"{reading.source_size} and {reading.decoding}"
        )
    if head.pillow != PIL.__version__:
        raise UnusableCacheError(f"made with Pillow {head.pillow}; this is {PIL.__version__}")
    return head
