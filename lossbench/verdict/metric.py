"""The metrics that a verdict can rest on, each with the name that every table, figure and sentence uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Metric:
    """A share between 0 and 1 computed from counts per class; larger is better.

    Attributes:
        key: value of `--metric`.
        name: what tables, figures and sentences call it.
        of_counts: (C,) correct samples, (C,) samples and (C,) predictions of each class -> value.
    """

    key: str
    name: str
    of_counts: Callable[[Ints, Ints, Ints], float]

    @property
    def title(self) -> str:
        """The name with a capital letter, for headings."""
        return self.name[0].upper() + self.name[1:]

    def of(self, predicted: Ints, targets: Ints, classes: int) -> float:
        """Return the metric of predictions.

        Args:
            predicted: (N,) class numbers.
            targets: (N,) class numbers.
            classes: number of classes, C.

        Example:
            >>> metric_named("balanced-accuracy").of(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
            0.75
        """
        hits, samples, predictions = (
            np.bincount(numbers, minlength=classes) for numbers in (targets[predicted == targets], targets, predicted)
        )
        return self.of_counts(hits, samples, predictions)


def _balanced_accuracy(hits: Ints, samples: Ints, predictions: Ints) -> float:
    """Mean recall over the classes that have samples."""
    present = samples > 0
    return float((hits[present] / samples[present]).mean())


def _accuracy(hits: Ints, samples: Ints, predictions: Ints) -> float:
    return float(hits.sum() / samples.sum())


def _macro_f1(hits: Ints, samples: Ints, predictions: Ints) -> float:
    """Mean F1 over the classes that have samples."""
    present = samples > 0
    return float((2 * hits[present] / (samples + predictions)[present]).mean())


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
