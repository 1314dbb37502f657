"""How often is the verdict wrong? Simulated comparisons, judged by the error, levels and looks of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from .contradictions import contradictions
from .looks import level_of_look
from .random_comparisons import random_comparison
from .score_interval import score_interval
from .simulation import Setting, errors, outcomes
from .statistics import ALPHA
from .two_way import TwoWay

COMPARISONS = 2_000
PLANTED = (0.01, 0.02, 0.03, 0.05, 0.08)


class Rate(NamedTuple):
    """A share of simulated comparisons, with its exact 95 % interval."""

    hits: int
    comparisons: int

    @property
    def value(self) -> float:
        return self.hits / self.comparisons

    @property
    def interval(self) -> tuple[float, float]:
        found = stats.binomtest(self.hits, self.comparisons).proportion_ci(method="exact")
        return float(found.low), float(found.high)


def claimed(error: TwoWay, looks: Sequence[int] = ()) -> npt.NDArray[np.bool_]:
    """Return which pairs of a family are called different: those whose simultaneous interval excludes 0."""
    tests = error.mean.shape[-1]
    alpha = level_of_look(looks, ALPHA, tests) if looks else ALPHA
    return np.asarray(np.abs(error.mean) > error.half_width(alpha / tests))


def false_alarms(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """Return how often a comparison of equal losses calls at least one pair different."""
    equal = replace(setting, planted=0.0)
    hits = sum(int(claimed(one).any(axis=-1).sum()) for (one,) in errors(equal, comparisons, seed))
    return Rate(hits, comparisons)


def power(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0, *, planned: bool = False) -> Rate:
    """Return how often the planted difference between the first loss and the last is found.

    Args:
        setting: what is simulated, with a planted difference.
        comparisons: how many.
        seed: of the simulation.
        planned: whether the pair is a planned claim, tested alone.
    """
    pair, hits = setting.pairs.index((0, setting.losses - 1)), 0
    for (one,) in errors(setting, comparisons, seed):
        found = claimed(one.one(pair).as_family()) if planned else claimed(one)[:, pair : pair + 1]
        hits += int(found.sum())
    return Rate(hits, comparisons)


def power_of_paired_t(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """Return how often Student's t over the seeds finds the planted difference, at the level that `claimed` reaches.

    Its critical value is the one at which comparisons of equal losses raise as many false alarms as `claimed` does in
    the same simulation, ten times as many as `comparisons`, since that level can be far below 5 %.

    Args:
        setting: what is simulated, with a planted difference.
        comparisons: how many.
        seed: of the simulation.
    """
    largest, alarms = [], 0
    for (one,) in errors(replace(setting, planted=0.0), 10 * comparisons, seed):
        alarms += int(claimed(one).any(axis=-1).sum())
        largest.append(_student(one).max(axis=-1))
    ordered = np.sort(np.concatenate(largest))[::-1]
    pair, hits = setting.pairs.index((0, setting.losses - 1)), 0
    for (one,) in errors(setting, comparisons, seed):
        hits += int((_student(one)[:, pair] > ordered[alarms]).sum())
    return Rate(hits, comparisons)


def _student(error: TwoWay) -> npt.NDArray[np.float64]:
    """Return |t| over the seeds of each pair; 0 without a difference."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.abs(error.mean) / np.sqrt(error.v_seeds), nan=0.0, posinf=np.inf)


def coverage(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """Return how often the 95 % interval of one pair, tested alone, holds the true difference."""
    truth, hits = setting.truth, 0
    difference = truth[0] - truth[-1]
    pair = setting.pairs.index((0, setting.losses - 1))
    for (one,) in errors(setting, comparisons, seed):
        alone = one.one(pair)
        hits += int((np.abs(alone.mean - difference) <= alone.half_width(ALPHA)).sum())
    return Rate(hits, comparisons)


def coverage_of_one(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """Return how often the 95 % interval of one loss's score holds its true score."""
    alone, hits = replace(setting, losses=1, planted=0.0), 0
    (truth,) = alone.truth
    for chunk in outcomes(alone, comparisons, seed):
        for right in chunk[:, 0]:
            low, high = score_interval(right, alone.targets)
            hits += low <= truth <= high
    return Rate(hits, comparisons)


def followed_advice(setting: Setting, looks: Sequence[int], comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """Return how often equal losses are called different at any of several looks with more and more seeds."""
    hits = 0
    for at_looks in errors(replace(setting, planted=0.0), comparisons, seed, looks):
        alarms = [claimed(one, looks[: n + 1]).any(axis=-1) for n, one in enumerate(at_looks)]
        hits += int(np.any(alarms, axis=0).sum())
    return Rate(hits, comparisons)


def smallest_found(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0, *, wanted: float = 0.8) -> float:
    """Return the smallest planted difference, in steps of 0.1 points, that a planned claim finds often enough."""
    low, high = 0, 200  # tenths of a point
    while high - low > 1:
        middle = (low + high) // 2
        rate = power(replace(setting, planted=middle / 1000), comparisons, seed, planned=True).value
        low, high = (low, middle) if rate >= wanted else (middle, high)
    return high / 1000


def contradicted(comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """Return how many random comparisons have a sentence that their numbers do not bear out."""
    return Rate(sum(bool(contradictions(random_comparison(seed + n))) for n in range(comparisons)), comparisons)
