"""Are two losses different? Student's t over seeds, paired by seed, and Holm's correction over all pairs asked.

Student's t holds its level with 5 seeds, where a bootstrap over so few would be too sure of itself; Wilcoxon's test
can't reach 5 % with fewer than 6. Arrays may have leading axes: the self-test judges thousands of comparisons at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
FEWEST_SEEDS = 3
MOST_SEEDS = 1000


class PairedT(NamedTuple):
    """Student's test of paired differences; arrays of the leading axes.

    Attributes:
        mean: of the differences.
        sd: their standard deviation.
        p: two-sided, that the true mean is 0; 1 where all differences are 0.
        seeds: how many differences each rests on.
    """

    mean: FloatArray
    sd: FloatArray
    p: FloatArray
    seeds: int

    def half_width(self, alpha: float = ALPHA) -> FloatArray:
        """Half of the interval that holds the true mean with probability 1 - alpha."""
        return np.asarray(stats.t.ppf(1 - alpha / 2, self.seeds - 1) * self.sd / math.sqrt(self.seeds))


def paired_t(differences: npt.ArrayLike) -> PairedT:
    """Tests differences that lie along the last axis, one a seed; at least two.

    Example:
        >>> test = paired_t([1.0, 2.5, -0.5, 3.0])
        >>> round(float(test.mean), 3), round(float(test.p), 4), round(float(test.half_width()), 3)
        (1.5, 0.154, 2.516)
    """
    values = np.asarray(differences, dtype=np.float64)
    seeds = values.shape[-1]
    mean, sd = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    error = sd / math.sqrt(seeds)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, mean / error)  # a difference of 0 in every seed is not evidence
    return PairedT(mean, sd, np.asarray(2 * stats.t.sf(np.abs(t), seeds - 1)), seeds)


def holm(p: npt.ArrayLike) -> FloatArray:
    """Holm's adjusted p-values along the last axis: below alpha where a pair differs, all pairs considered.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    count = values.shape[-1]
    order = np.argsort(values, axis=-1, kind="stable")
    stepped = np.take_along_axis(values, order, axis=-1) * np.arange(count, 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(stepped, axis=-1), 1.0)
    result = np.empty_like(values)
    np.put_along_axis(result, order, adjusted, axis=-1)
    return result


def groups(names: Sequence[str], different: Collection[frozenset[str]]) -> list[tuple[str, ...]]:
    """The largest sets of names within which no two differ, in the order of the names.

    By insertion and absorption (Piepho, 2004); a name may be in several.

    Args:
        names: from the best to the worst.
        different: the pairs that differ.

    Example:
        >>> groups(["a", "b", "c"], {frozenset("ac")})
        [('a', 'b'), ('b', 'c')]
    """
    sets = [frozenset(names)]
    for pair in different:
        split = [group - {name} if pair <= group else group for group in sets for name in sorted(pair)]
        sets = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    ordered = [tuple(name for name in names if name in group) for group in sets]
    return sorted(ordered, key=lambda group: [names.index(name) for name in group])


def power(difference: float, sd: float, seeds: int, alpha: float) -> float:
    """Return the probability that this number of seeds detects a true difference.

    Args:
        difference: true mean of the paired differences.
        sd: their standard deviation over seeds.
        seeds: at least 2.
        alpha: two-sided level of the test.
    """
    if sd == 0:
        return float(difference != 0)
    shift = abs(difference) / sd * math.sqrt(seeds)
    if shift < 0.01:
        return alpha  # scipy's noncentral F fails at 0
    limit = stats.t.ppf(1 - alpha / 2, seeds - 1)
    return float(stats.ncf.sf(limit**2, 1, seeds - 1, shift**2))  # the square of t, whose own law fails far out


def smallest_difference(sd: float, seeds: int, alpha: float, wanted: float = POWER) -> float:
    """Return the true difference that this number of seeds detects with the given probability.

    Example:
        >>> round(smallest_difference(sd=2.0, seeds=5, alpha=0.05), 2)
        3.36
    """
    if sd == 0:
        return 0.0
    high = sd
    while power(high, sd, seeds, alpha) < wanted:
        high *= 2
    return float(optimize.brentq(lambda d: power(d, sd, seeds, alpha) - wanted, 0, high))


def seeds_to_separate(difference: float, sd: float, alpha: float, wanted: float = POWER) -> int | None:
    """How many seeds would show this difference with the wanted probability; None for more than 1,000.

    Example:
        >>> seeds_to_separate(difference=1.0, sd=2.0, alpha=0.05)
        34
    """
    low, high = 2, MOST_SEEDS
    if difference == 0 or power(difference, sd, high, alpha) < wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, alpha) >= wanted else (middle + 1, high)
    return low
