"""Student's t over seeds, paired by seed, Holm's correction, and groups of losses that are not shown to differ.

Pairs of losses are judged by `two_way`; Student's t is for effects within seeds, such as the parts of a gain.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
FEWEST_SEEDS = 3


class PairedT(NamedTuple):
    """Student's test of paired differences; arrays of the leading axes.

    Attributes:
        mean: of the differences.
        sd: their standard deviation.
        p: two-sided, that the true mean is 0; 1 where all differences are equal.
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
        t = np.where(error == 0, 0.0, mean / error)  # without spread nothing is known of the error
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
