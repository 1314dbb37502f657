"""How far a figure may move with other test images of the same classes: the stratified bootstrap."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

DRAWS = 10_000


def class_means(values: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(P,) mean value of each class that has images, in the order of the class numbers.

    Args:
        values: (N,) one a test image, such as 1 where it was classified correctly.
        targets: (N,).
    """
    sums = np.bincount(targets, weights=values)
    counts = np.bincount(targets)
    return np.asarray(sums[counts > 0] / counts[counts > 0])


def image_interval(
    values: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of class means, when each class's images are drawn anew.

    Images of one class and value are exchangeable: a resample is a multinomial draw of how often each value occurs.

    Args:
        values: (N,) one a test image; a mean over seeds, or a difference of two.
        targets: (N,).
        draws: resamples.
        seed: of the draws.

    Example:
        >>> low, high = image_interval(np.repeat([1.0, 0.0], 50), np.zeros(100, dtype=np.int64))
        >>> round(low, 2), round(high, 2)
        (0.4, 0.6)
    """
    generator = np.random.default_rng(seed)
    total = np.zeros(draws)
    classes = np.unique(targets)
    for number in classes:
        levels, counts = np.unique(values[targets == number], return_counts=True)
        images = int(counts.sum())
        total += generator.multinomial(images, counts / images, size=draws) @ levels / images
    low, high = np.quantile(total / len(classes), [0.025, 0.975])
    return float(low), float(high)


def mean_of(rows: Iterable[npt.NDArray[np.floating]]) -> npt.NDArray[np.float64]:
    """Element-wise mean of arrays of one shape."""
    return np.asarray(np.mean(np.stack(list(rows)), axis=0), dtype=np.float64)
