"""What a loss costs: seconds, memory, and the time to a named accuracy on the selection split."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from ..runs.history import HistoryRow
from ..runs.record import Record

_ROUNDING = 1e-9  # 100 * 0.29 is 28.999...


class Cost(NamedTuple):
    """Means over a loss's runs.

    Attributes:
        seconds_per_step: of the whole training step.
        loss_seconds: of it, the loss alone, forward and backward.
        train_seconds: of a run.
        peak_bytes: largest peak memory of a run.
        reached: of the runs, how many reached the named accuracy.
        seconds_to_target: mean training seconds until then, of those that did; None where none did.
    """

    seconds_per_step: float
    loss_seconds: float
    train_seconds: float
    peak_bytes: int
    reached: int
    seconds_to_target: float | None


def cost(records: Sequence[Record], histories: Sequence[Sequence[HistoryRow]], target: float) -> Cost:
    """The cost of a loss.

    Args:
        records: of its runs.
        histories: of its runs, in the same order.
        target: balanced accuracy on the selection split.
    """
    timing = [record.timing for record in records]
    times = [seconds for history in histories if (seconds := seconds_to(history, target)) is not None]
    return Cost(
        seconds_per_step=statistics.mean(t.seconds_per_step for t in timing),
        loss_seconds=statistics.mean(t.loss_seconds_per_step for t in timing),
        train_seconds=statistics.mean(t.train_seconds for t in timing),
        peak_bytes=max(record.memory.peak_bytes for record in records),
        reached=len(times),
        seconds_to_target=statistics.mean(times) if times else None,
    )


def seconds_to(history: Sequence[HistoryRow], target: float) -> float | None:
    """Training seconds up to the first epoch that reached the accuracy; None where none did.

    Example:
        >>> rows = [HistoryRow(epoch=0, loss=1.0, seconds=2.0, selection_balanced_accuracy=a) for a in (0.3, 0.6, 0.5)]
        >>> seconds_to(rows, 0.55), seconds_to(rows, 0.7)
        (4.0, None)
    """
    spent = 0.0
    for row in history:
        spent += row.seconds
        score = row.selection_balanced_accuracy
        if score is not None and score >= target:
            return float(spent)
    return None


def named_target(histories: Sequence[Sequence[HistoryRow]]) -> float | None:
    """What every run reached at least once, rounded down to whole per cents; None without selection scores.

    Example:
        >>> rows = [HistoryRow(epoch=0, loss=1.0, seconds=2.0, selection_balanced_accuracy=a) for a in (0.617, 0.745)]
        >>> named_target([rows[:1], rows[1:]])
        0.61
    """
    peaks = []
    for history in histories:
        scores = [s for row in history if (s := row.selection_balanced_accuracy) is not None]
        if not scores:
            return None
        peaks.append(max(scores))
    return int(100 * min(peaks) + _ROUNDING) / 100 if peaks else None
