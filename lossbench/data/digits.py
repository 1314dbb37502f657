"""The embedded data set "digits": scikit-learn's real 8x8 handwritten digits, made long-tailed in training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import DataError
from .table import ImageTable, Int64Array

CLASSES = 10
MIN_IMAGES = 3  # in the rarest class


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Parameters of the digits.

    Attributes:
        imbalance: largest over smallest class size in training; 1 is balanced. The default keeps 5 images of the
            rarest digit.
        test_fraction: share of every digit's images in the test split.

    Raises:
        DataError: for a parameter outside its range.
    """

    imbalance: float = 25
    test_fraction: float = 0.3

    def __post_init__(self) -> None:
        if not 1 <= self.imbalance <= 1000:
            raise DataError(f"digits: imbalance must be between 1 and 1000; it is {self.imbalance!r}")
        if not 0.05 <= self.test_fraction <= 0.9:
            raise DataError(f"digits: test_fraction must be between 0.05 and 0.9; it is {self.test_fraction!r}")


def open_digits(dials: Digits, seed: int) -> tuple[ImageTable, ImageTable]:
    """Return the training and test tables of 10 classes "0" to "9"; images are 8x8, light on dark.

    Class sizes decrease exponentially. Digit (seed + k) % 10 has the k-th largest class, so that over ten seeds every
    digit is the rarest once. The seed also selects the training images. The test split is the same for every seed.

    Raises:
        DataError: if the imbalance leaves fewer than `MIN_IMAGES` images of the rarest digit.

    Example:
        >>> train, test = open_digits(Digits(), seed=0)
        >>> train.class_counts
        (122, 85, 60, 42, 29, 20, 14, 10, 7, 5)
        >>> len(test), test.read(0).size
        (535, (8, 8))
    """
    rows_of_file = _rows_of_file()
    pixels = np.round(rows_of_file[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    targets = rows_of_file[:, -1].astype(np.int64)
    by_class = [np.flatnonzero(targets == digit) for digit in range(CLASSES)]
    held = [_every(rows, dials.test_fraction) for rows in by_class]
    pools = [rows[~test] for rows, test in zip(by_class, held, strict=True)]
    test_rows = np.sort(np.concatenate([rows[test] for rows, test in zip(by_class, held, strict=True)]))
    counts = _long_tail(min(map(len, pools)), dials)
    kept = []
    for rank, count in enumerate(counts):
        digit = (seed + rank) % CLASSES
        kept.append(np.random.default_rng([seed, digit]).permutation(pools[digit])[:count])
    return (
        _table(dials, pixels, targets, np.sort(np.concatenate(kept))),
        _table(dials, pixels, targets, test_rows),
    )


def _rows_of_file() -> npt.NDArray[np.float64]:
    """Return the (1797, 65) rows of scikit-learn's file: 64 pixels from 0 to 16, and the digit.

    The file is read without importing scikit-learn, which takes longer than all else that opens a data set.
    """
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn is a dependency"
    assert package.origin is not None
    return np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")


def _every(rows: Int64Array, fraction: float) -> npt.NDArray[np.bool_]:
    """Return an (n,) mask of evenly spaced rows: rows are ordered by writer, and both splits need every writer."""
    steps = np.floor(np.arange(len(rows) + 1) * fraction + 1e-9)
    taken: npt.NDArray[np.bool_] = np.diff(steps).astype(np.bool_)
    return taken


def _long_tail(largest: int, dials: Digits) -> list[int]:
    """Return 10 class sizes that decrease exponentially from `largest` by the ratio `imbalance`."""
    counts = [round(largest * dials.imbalance ** (-rank / (CLASSES - 1))) for rank in range(CLASSES)]
    if counts[-1] < MIN_IMAGES:
        raise DataError(
            f"digits: imbalance={dials.imbalance!r} leaves {counts[-1]} of {largest} training images in the rarest "
            f"class, but at least {MIN_IMAGES} are needed; use at most imbalance={largest // MIN_IMAGES}"
        )
    return counts


class _Pixels:
    """Reads one row of an array of grayscale images."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self._pixels = pixels

    def __call__(self, row: int) -> Image.Image:
        return Image.fromarray(self._pixels[row]).convert("RGB")


def _table(dials: Digits, pixels: npt.NDArray[np.uint8], targets: Int64Array, rows: Int64Array) -> ImageTable:
    return ImageTable(
        name="digits",
        class_names=tuple(map(str, range(CLASSES))),
        targets=targets[rows],
        sample_ids=[f"digits/{row}" for row in rows.tolist()],
        read=_Pixels(pixels[rows]),
        subject="a grayscale handwritten digit, light on dark",
        details=dataclasses.asdict(dials),
    )
