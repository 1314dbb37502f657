"""The price of looking more than once: adding seeds after a verdict gives chance another try.

The first look has the whole level alpha. Every later look spends a share of a further fifth of alpha (half of it at the
second look, a quarter at the third, and so on), so all looks together raise at most 1.2 alpha false alarms however
often seeds are added. A look's level follows from what it spends: the probability that a test is rejected now and was
not at the look before, with the correlation of nested samples, sqrt(seeds before / seeds now) (Lan and DeMets 1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from scipy import optimize, special

LATER = 0.2  # of alpha, for all later looks together
_NODES = 400


def level_of_look(looks: Sequence[int], alpha: float, tests: int) -> float:
    """Return the level of a family of tests at the last look.

    Args:
        looks: number of seeds at each look so far, increasing.
        alpha: level of the first look.
        tests: number of tests in the family; each has the level divided by it.

    Example:
        >>> level_of_look([5], 0.05, 10)
        0.05
        >>> level_of_look([5, 10], 0.05, 10) < 0.02
        True
    """
    level = alpha
    for number, (before, now) in enumerate(pairwise(looks), start=1):
        level = tests * _next_level(level / tests, before / now, LATER * alpha / tests / 2**number)
    return level


@cache
def _next_level(before: float, share: float, spend: float) -> float:
    """Return the level at which a test spends so much, given its level and share of seeds at the look before."""
    limit = -special.ndtri(before / 2)
    nodes = np.linspace(-limit, limit, _NODES)
    weight = np.exp(-(nodes**2) / 2)
    weight *= (1 - before) / weight.sum()
    mean, spread = share**0.5 * nodes, (1 - share) ** 0.5

    def spent(level: float) -> float:
        bar = -special.ndtri(level / 2)
        beyond = special.ndtr((mean - bar) / spread) + special.ndtr((-mean - bar) / spread)
        return float((weight * beyond).sum())

    if spent(before) <= spend:
        return before
    return float(optimize.brentq(lambda level: spent(level) - spend, spend / 100, before))
