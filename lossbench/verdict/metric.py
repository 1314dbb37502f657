"""The metrics that a verdict can rest on, each with the name that every table, figure and sentence uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Counts = npt.NDArray[np.integer[Any] | np.floating[Any]]


@dataclass(frozen=True)
class Metric:
    """A share between 0 and 1 computed from a confusion matrix; larger is better.

    Attributes:
        key: value of `--metric`.
        name: what tables, figures and sentences call it.
        of_counts: confusion matrix of shape (C, C), rows true, columns predicted -> value.
    """

    key: str
    name: str
    of_counts: Callable[[Counts], float]

    @property
    def title(self) -> str:
        """The name with a capital letter, for headings."""
        return self.name[0].upper() + self.name[1:]

    def of(self, predicted: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]], classes: int) -> float:
        """Return the metric of predictions.

        Args:
            predicted: (N,) class numbers.
            targets: (N,) class numbers.
            classes: number of classes, C.

        Example:
            >>> metric_named("balanced-accuracy").of(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
            0.75
        """
        return self.of_counts(confusion(predicted, targets, classes))


def confusion(
    predicted: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]], classes: int
) -> npt.NDArray[np.int64]:
    """Return the confusion matrix of predictions, shape (C, C), rows true, columns predicted.

    Args:
        predicted: (N,) class numbers.
        targets: (N,) class numbers.
        classes: number of classes, C.
    """
    pairs = targets.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _balanced_accuracy(counts: Counts) -> float:
    """Mean recall over the classes that have samples."""
    totals = counts.sum(axis=1)
    present = totals > 0
    return float((np.diagonal(counts)[present] / totals[present]).mean())


def _accuracy(counts: Counts) -> float:
    return float(np.trace(counts) / counts.sum())


def _macro_f1(counts: Counts) -> float:
    """Mean F1 over the classes that have samples."""
    totals = counts.sum(axis=1)
    present = totals > 0
    return float((2 * np.diagonal(counts) / np.maximum(totals + counts.sum(axis=0), 1))[present].mean())


BALANCED_ACCURACY = Metric("balanced-accuracy", "balanced accuracy", _balanced_accuracy)
METRICS = (
    BALANCED_ACCURACY,
    Metric("accuracy", "accuracy", _accuracy),
    Metric("macro-f1", "macro F1", _macro_f1),
)


def metric_named(key: str) -> Metric:
    """Return the metric of that key.

    Raises:
        ConfigError: there is no such metric; the message lists them.
    """
    found = next((metric for metric in METRICS if metric.key == key), None)
    if found is None:
        raise ConfigError(f"--metric {key}: expected one of {', '.join(metric.key for metric in METRICS)}")
    return found
