"""Compute figures of several runs: means, spreads, and differences by seed with their interval."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from scipy.stats import t

FEWEST_TEST_IMAGES = 19


def recall(confusion: list[list[int]], classes: Iterable[int]) -> float:
    """Return the mean recall over some classes."""
    return float(statistics.mean(confusion[c][c] / sum(confusion[c]) for c in classes))


def frequent(test_counts: Sequence[int]) -> list[int]:
    """Return the classes with enough test images for a meaningful recall."""
    return [c for c, count in enumerate(test_counts) if count >= FEWEST_TEST_IMAGES]


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation in per cent."""
    mean = f"{100 * statistics.mean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return mean and half width of Student's 95 % interval of paired differences."""
    half = t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return statistics.mean(differences), float(half)
