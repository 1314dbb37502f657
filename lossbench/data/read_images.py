"""Read images as a `Reading` says: decode a file, and reduce an image whose shorter side is too long."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .decode import decode
from .files import ImageFiles
from .reading import Reading
from .square import scaled, square
from .table import ImageTable, Pixels
from .upright import Box


def decode_as(reading: Reading, source: str | os.PathLike[str] | bytes, box: Box | None = None) -> Image.Image:
    """Return an image file, or its bytes, as `decode` does, reduced as the reading says.

    Raises:
        DataError: as `decode`.
    """
    return reduced(decode(source, box, smallest=reading.smallest_decoded), reading)


def fitted(image: Image.Image, reading: Reading, size: int, share: float) -> Pixels:
    """Return the (size, size, 3) central square of a decoded RGB image, as evaluation sees it.

    Args:
        image: decoded and reduced as the reading says.
        reading: how the run reads images.
        size: side of the result in pixels.
        share: side of the square as a share of the image's short side.
    """
    return square(np.asarray(image) if reading.is_fast else image, size, share=share)


def reduced(image: Image.Image, reading: Reading) -> Image.Image:
    """Return an image scaled down to the shorter side that the reading allows, or as it is if it is not longer.

    Example:
        >>> reading = Reading(source_size=64)
        >>> [reduced(Image.new("RGB", size), reading).size for size in ((640, 320), (64, 90), (48, 48))]
        [(128, 64), (64, 90), (48, 48)]
    """
    size = _reduced_size(image.size, reading.source_size)
    if size == image.size:
        return image
    if reading.is_fast:
        return Image.fromarray(scaled(np.asarray(image), size[1], size[0]))
    return image.resize(size, Image.Resampling.BILINEAR)


def _reduced_size(size: tuple[int, int], source_size: int) -> tuple[int, int]:
    shorter = min(size)
    if not source_size or shorter <= source_size:
        return size
    width, height = (max(source_size, round(side * source_size / shorter)) for side in size)
    return width, height


def read_as(table: ImageTable, reading: Reading) -> ImageTable:
    """Return a table whose images are read in this way.

    Args:
        table: a table as its source opened it.
        reading: how images are read.
    """
    if reading == Reading():
        return table
    read: Callable[[int], Image.Image] = _Reduced(table.read, reading)
    pixels: Callable[[int], Pixels] = _PixelsOf(read)
    if table.paths is not None:
        files = ImageFiles(table.paths, table.boxes)
        read, pixels = _Files(files, reading), _PixelsOfFiles(files, reading)
    return dataclasses.replace(table, read=read, pixels=pixels if reading.is_fast else None)


@dataclass(frozen=True)
class _Reduced:
    """Reads one row of images that are not files."""

    read: Callable[[int], Image.Image]
    reading: Reading

    def __call__(self, row: int) -> Image.Image:
        return reduced(self.read(row), self.reading)


@dataclass(frozen=True)
class _PixelsOf:
    """Reads one row of images that are not files as an array."""

    read: Callable[[int], Image.Image]

    def __call__(self, row: int) -> Pixels:
        return np.asarray(self.read(row))


@dataclass(frozen=True)
class _Files:
    """Reads one row of a list of files."""

    files: ImageFiles
    reading: Reading

    def __call__(self, row: int) -> Image.Image:
        return decode_as(self.reading, *self.files.place(row))


@dataclass(frozen=True)
class _PixelsOfFiles:
    """Reads one row of a list of files as an array, without the detour over a second Pillow image."""

    files: ImageFiles
    reading: Reading

    def __call__(self, row: int) -> Pixels:
        path, box = self.files.place(row)
        image = decode(path, box, smallest=self.reading.smallest_decoded)
        width, height = _reduced_size(image.size, self.reading.source_size)
        return scaled(np.asarray(image), height, width)
