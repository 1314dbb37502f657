"""To what a gain is owed: the loss, the sampler, or the threshold; and what of a loss's gain is representation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple


class Split(NamedTuple):
    """A loss's gain over plain softmax in one seed; the two parts sum to it.

    Attributes:
        gain: in balanced accuracy, both as trained.
        prior_shift: the part that is gone when the prior that scores carry, as measured, is taken off both.
        representation: the rest.
        refit: the gain of the balanced linear refit, the other view of the representation; None where not fitted.
    """

    gain: float
    prior_shift: float
    representation: float
    refit: float | None


def split_gain(loss: tuple[float, float, float | None], baseline: tuple[float, float, float | None]) -> Split:
    """Split a gain.

    Args:
        loss: balanced accuracy as trained, with the measured prior taken off, and of the refit.
        baseline: the same of plain softmax.

    Example:
        >>> split = split_gain((0.80, 0.82, None), (0.70, 0.81, None))
        >>> [round(part, 3) for part in split[:3]]
        [0.1, 0.09, 0.01]
    """
    gain, representation = loss[0] - baseline[0], loss[1] - baseline[1]
    refit = None if loss[2] is None or baseline[2] is None else loss[2] - baseline[2]
    return Split(gain, gain - representation, representation, refit)


def shapley(factors: Sequence[str], value: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Each factor's part in what all of them together gain: its mean effect over all orders of switching them on.

    The parts sum to the gain. (Shapley, 1953.)

    Args:
        factors: names.
        value: set of factors switched on -> what is reached.

    Example:
        >>> reached = {frozenset(): 0.70, frozenset("l"): 0.78, frozenset("t"): 0.80, frozenset("lt"): 0.82}
        >>> {name: round(part, 3) for name, part in shapley("lt", reached).items()}
        {'l': 0.05, 't': 0.07}
    """
    total = dict.fromkeys(factors, 0.0)
    orders = list(permutations(factors))
    for order in orders:
        on: frozenset[str] = frozenset()
        for factor in order:
            total[factor] += value[on | {factor}] - value[on]
            on |= {factor}
    return {factor: part / len(orders) for factor, part in total.items()}
