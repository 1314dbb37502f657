"""What tuning is worth: the expected best of k trials, for every k up to the budget."""

from __future__ import annotations

from collections.abc import Sequence


def best_of_curve(scores: Sequence[float]) -> list[float]:
    """Expected maximum of k of the trials drawn at random, k = 1, ..., n (Dodge et al., EMNLP 2019).

    Trials must be independent draws, which those of random search are.

    Args:
        scores: of n trials.

    Example:
        >>> [round(value, 3) for value in best_of_curve([0.5, 0.7])]
        [0.6, 0.65]
    """
    ranked, count = sorted(scores), len(scores)
    return [
        sum(value * ((i / count) ** k - ((i - 1) / count) ** k) for i, value in enumerate(ranked, start=1))
        for k in range(1, count + 1)
    ]
