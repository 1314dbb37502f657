"""Answers that need no training: what a loss must beat to have learned anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .metric import Metric

Ints = npt.NDArray[np.integer[Any]]


class Reference(NamedTuple):
    """The score of an answer that needs no training.

    Attributes:
        name: what tables call it.
        value: the metric, between 0 and 1.
    """

    name: str
    value: float


def references(
    targets: Ints, classes: int, metric: Metric, training_counts: Sequence[float] | None = None
) -> tuple[Reference, ...]:
    """Return the metric of answers that ignore the image.

    Args:
        targets: (N,) classes of the test images.
        classes: number of classes, C.
        metric: what is computed.
        training_counts: (C,) training images per class; None if they are not known.

    Example:
        >>> from .metric import BALANCED_ACCURACY
        >>> found = references(np.array([0, 0, 0, 1]), 2, BALANCED_ACCURACY, [9, 1])
        >>> [(name, round(value, 3)) for name, value in found]
        [('constant answer', 0.5), ('chance', 0.5), ('prior only', 0.5)]
    """
    found = [
        Reference("constant answer", metric.of_constant(targets, classes)),
        Reference("chance", _guessing(targets, np.full(classes, 1 / classes), metric)),
    ]
    if training_counts is not None:
        counts = np.asarray(training_counts, dtype=np.float64)
        found.append(Reference("prior only", _guessing(targets, counts / counts.sum(), metric)))
    return tuple(found)


def _guessing(targets: Ints, probability: npt.NDArray[np.float64], metric: Metric) -> float:
    """Return the metric at the expected counts of guesses with these class probabilities."""
    samples = np.bincount(targets, minlength=len(probability)).astype(np.float64)
    return float(metric.of_counts(samples * probability, samples, len(targets) * probability))
