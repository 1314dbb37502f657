"""Long tables and numbers, cut to what fits a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
_WHOLE, _END = 30, 10


def ends(items: Sequence[Item]) -> list[Item | None]:
    """Return all items; of more than 30 the first and the last ten, with None between them.

    Example:
        >>> len(ends(range(30))), ends(range(8631))[9:12]
        (30, [9, None, 8621])
    """
    if len(items) <= _WHOLE:
        return list(items)
    return [*items[:_END], None, *items[-_END:]]


def significant(value: float | str | None, digits: int = 3) -> str:
    """Return a number with that many significant digits, a dash for None, and text as it is.

    Example:
        >>> significant(0.123456), significant(None), significant("nan")
        ('0.123', '-', 'nan')
    """
    return f"{value:.{digits}g}" if isinstance(value, float) else value or "-"
