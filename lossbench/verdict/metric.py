"""The metrics that a verdict can rest on, each with the name that every table, figure and sentence uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]

_STEP = 1e-4  # of a count, in derivatives


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
    of_counts: Callable[[Counts, Counts, Counts], float]

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

    def of_constant(self, targets: Ints, classes: int) -> float:
        """Return the metric of the best constant answer."""
        present = np.unique(targets)
        return max(self.of(np.full(len(targets), number), targets, classes) for number in present[:_MOST_CONSTANTS])

    def weights(self, targets: Ints) -> Floats:
        """Return the weights of the classes that have samples, (P,), with which `values` are averaged."""
        counts = np.unique(targets, return_counts=True)[1]
        return np.full(len(counts), 1 / len(counts)) if self is BALANCED_ACCURACY else counts / counts.sum()

    def values(self, predicted: Ints, targets: Ints, classes: int) -> Floats:
        """Return a value of each sample whose weighted mean over class means varies as the metric does.

        For balanced accuracy and accuracy: 1 where the prediction is right, else 0. Other metrics are linearized in
        the counts of their classes (the infinitesimal jackknife).

        Args:
            predicted: (N,) class numbers.
            targets: (N,) class numbers.
            classes: number of classes, C.
        """
        right = np.asarray(predicted == targets, dtype=np.float64)
        if self.key in _OF_HITS:
            return right
        hits, samples, predictions = (
            np.bincount(numbers, minlength=classes).astype(np.float64)
            for numbers in (targets[predicted == targets], targets, predicted)
        )

        def slope(of_hits: bool, number: int) -> float:
            step = np.zeros(classes)
            step[number] = _STEP
            ends = [
                self.of_counts(hits + way * step * of_hits, samples, predictions + way * step * (not of_hits))
                for way in (1, -1)
            ]
            return (ends[0] - ends[1]) / (2 * _STEP)

        by_hit, by_prediction = (np.array([slope(kind, number) for number in range(classes)]) for kind in (True, False))
        return np.asarray(len(targets) * (right * by_hit[targets] + by_prediction[predicted]))


def _balanced_accuracy(hits: Counts, samples: Counts, predictions: Counts) -> float:
    """Mean recall over the classes that have samples."""
    present = samples > 0
    return float((hits[present] / samples[present]).mean())


def _accuracy(hits: Counts, samples: Counts, predictions: Counts) -> float:
    return float(hits.sum() / samples.sum())


def _macro_f1(hits: Counts, samples: Counts, predictions: Counts) -> float:
    """Mean F1 over the classes that have samples."""
    present = samples > 0
    return float((2 * hits[present] / (samples + predictions)[present]).mean())


_OF_HITS = frozenset({"balanced-accuracy", "accuracy"})
_MOST_CONSTANTS = 1_000
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
