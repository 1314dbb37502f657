"""Numbers and names as sentences and tables have them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from .statistics import FEWEST_SEEDS, PairedT, paired_t

_ROUNDED = 0.0005  # prints as 0.0 with one digit


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def listed_first(names: Sequence[str], most: int) -> str:
    """Return the first names as a sentence has them, with the number of the others.

    Example:
        >>> listed_first(["a", "b", "c"], 2), listed_first(["a", "b", "c", "d"], 2)
        ('a, b and 1 other', 'a, b and 2 others')
    """
    rest = len(names) - most
    return listed(names if rest <= 0 else [*names[:most], f"{rest} other{'s' * (rest > 1)}"])


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "seed"), plural(3, "seed")
        ('1 seed', '3 seeds')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def points(value: float) -> str:
    """A difference of shares in points, with its sign; more digits where one would round it to zero.

    Example:
        >>> points(0.0123), points(-0.5), points(0.0002), points(0.0)
        ('+1.2', '-50.0', '+0.02', '+0.0')
    """
    small = 0 < abs(value) < _ROUNDED
    return f"{100 * value:+.1g}" if small else f"{100 * value + 0.0:+.1f}"


def span(interval: tuple[float, float]) -> str:
    """An interval of differences in points; without variance there is no bound."""
    if not all(map(math.isfinite, interval)):
        return "no bound"
    return f"{points(interval[0])} to {points(interval[1])}"


def power(tau: float, digits: int = 1) -> str:
    """Return a power of the training prior, without the sign of a zero.

    Example:
        >>> power(-0.04), power(0.96, 2)
        ('0.0', '0.96')
    """
    return f"{round(tau, digits) + 0.0:.{digits}f}"


def p_value(value: float) -> str:
    """A p-value as printed."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def around(test: PairedT) -> tuple[float, float]:
    """The 95 % interval of a test's mean."""
    half = float(test.half_width())
    return float(test.mean) - half, float(test.mean) + half


def mean_percent(values: Sequence[float | None]) -> str:
    """Mean of shares in per cent; a dash where one is unknown."""
    known = [value for value in values if value is not None]
    return f"{100 * statistics.mean(known):.1f}" if known and len(known) == len(values) else "-"


def effect(values: Sequence[float]) -> str:
    """Mean in points, with Student's interval where there are enough seeds."""
    if len(values) < FEWEST_SEEDS:
        return points(statistics.mean(values))
    test = paired_t(values)
    return f"{points(float(test.mean))} ({span(around(test))})"
