"""Measure how time and memory grow with one size while the others are fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .contenders import Contender
from .measure import measure
from .row import Row
from .workload import Workload

AXES = {"B": "batch", "C": "classes", "D": "dim"}


@dataclass(frozen=True)
class Growth:
    """Rows of one contender along one axis, with the exponents of its largest sizes.

    Attributes:
        name: name of the contender.
        axis: "B", "C" or "D".
        rows: one row per size.
        time_exponent: exponent in seconds ~ size^exponent over the last three measured sizes; None for fewer.
        memory_exponent: exponent of peak memory.
    """

    name: str
    axis: str
    rows: tuple[Row, ...]
    time_exponent: float | None
    memory_exponent: float | None


def measure_growth(
    contenders: Sequence[Contender], workload: Workload, axis: str, sizes: Sequence[int], *, seconds: float = 0.3
) -> list[Growth]:
    """Measure at each size; a contender that failed at one size is skipped at larger ones."""
    rows: dict[str, list[Row]] = {each.name: [] for each in contenders}
    for size in sorted(sizes):
        here = replace(workload, **{AXES[axis]: size})  # type: ignore[arg-type]  # the three names are sizes
        alive = [each for each in contenders if not any(row.error for row in rows[each.name])]
        for row in measure(alive, here, seconds=seconds) if alive else []:
            rows[row.name].append(row)
    place = list(AXES).index(axis)
    return [
        Growth(
            each.name,
            axis,
            tuple(rows[each.name]),
            _exponent([(row.workload[place], row.seconds) for row in rows[each.name]]),
            _exponent([(row.workload[place], row.peak_bytes) for row in rows[each.name]]),
        )
        for each in contenders
    ]


def _exponent(points: Sequence[tuple[int, float | None]]) -> float | None:
    """Return the slope of a straight line through the logarithms of the last three points.

    Example:
        >>> _exponent([(1, 100.0), (2, 4.0), (4, 16.0), (8, 64.0), (16, None)])
        2.0
    """
    last = [(math.log(x), math.log(y)) for x, y in points if y][-3:]
    if len(last) < 3:
        return None
    mean_x, mean_y = (sum(values) / 3 for values in zip(*last, strict=True))
    across = sum((x - mean_x) ** 2 for x, _ in last)
    slope: float = sum((x - mean_x) * (y - mean_y) for x, y in last) / across
    return round(slope, 6)
