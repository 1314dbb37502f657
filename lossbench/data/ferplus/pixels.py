"""Read `fer2013.csv`: the 48 x 48 grayscale images of FER2013 as text, with its original seven labels."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import DataError
from ...strict_files import open_regular
from .votes import USAGES

SIDE = 48  # pixels
LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # by number in `fer2013.csv`

UInt8Array = npt.NDArray[np.uint8]


class PixelRow(NamedTuple):
    """One row of `fer2013.csv`.

    Attributes:
        usage: one of `USAGES`.
        label: original label of FER2013.
        pixels: (48, 48) uint8.
    """

    usage: str
    label: str
    pixels: UInt8Array


class PixelImages:
    """Reads one row of an array of grayscale images as RGB.

    Args:
        pixels: (N, 48, 48) uint8.
    """

    def __init__(self, pixels: UInt8Array) -> None:
        self._pixels = pixels

    def __call__(self, row: int) -> Image.Image:
        return Image.fromarray(self._pixels[row]).convert("RGB")


def read_pixels(path: Path) -> Iterator[PixelRow]:
    """Yield the rows of `fer2013.csv` (or `icml_face_data.csv`), whose columns may be in any order.

    Raises:
        DataError: the file cannot be read, has other columns, or has an invalid row.
    """
    try:
        with open_regular(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip().lower() for cell in next(reader, [])]
            at = [header.index(name) if name in header else -1 for name in ("emotion", "pixels", "usage")]
            if min(at) < 0:
                raise DataError(f"{path}: found columns: {', '.join(header)[:200]}; expected: emotion, pixels, Usage")
            for number, cells in enumerate(reader, 2):
                if cells:
                    yield _row(path, number, cells, at)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); download the file again") from None
    except csv.Error as error:
        raise DataError(f"{path}: not CSV: {error}; download the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from None


def _row(path: Path, number: int, cells: list[str], at: list[int]) -> PixelRow:
    if len(cells) <= max(at):
        raise DataError(f"{path}: row {number}: {len(cells)} fields, expected 3; download the file again")
    emotion, text, usage = (cells[place].strip() for place in at)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's warning about text that is not a number
        values = np.fromstring(text, dtype=np.int64, sep=" ")
    if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise DataError(
            f"{path}: row {number}: expected {SIDE * SIDE:,} pixels from 0 to 255, got {len(values):,} numbers; "
            "download the file again"
        )
    if not (emotion.isascii() and emotion.isdigit() and int(emotion) < len(LABELS)):
        raise DataError(f"{path}: row {number}: emotion {emotion[:40]!r}, expected 0 to {len(LABELS) - 1}")
    if usage not in USAGES:
        raise DataError(f"{path}: row {number}: usage {usage[:40]!r}, expected one of {', '.join(USAGES)}")
    return PixelRow(usage, LABELS[int(emotion)], values.astype(np.uint8).reshape(SIDE, SIDE))
