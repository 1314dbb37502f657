"""The cost of one contender on one workload."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """The cost of a contender on a workload; None for figures of a failed contender, with the reason in `error`.

    Attributes:
        name: name of the contender.
        workload: (B, C, D).
        seconds: median time of a call.
        quartiles: first and third quartile.
        calls: number of timed calls.
        times_faster: this contender's median divided by the first contender's: how many times faster the first is.
        peak_bytes: peak memory beyond the initial memory.
        operations: dispatched operators other than views.
        host_syncs: host synchronizations in forward, backward and update_state.
        error: reason for missing figures.
        best_seconds: shortest time of a call, which other programs disturb least.
        allocator: state of the C allocator, "warm" or "cold"; None where it was not set.
        update_seconds: shortest time of `update_state`, which follows each optimizer step; None if there is none.
    """

    name: str
    workload: tuple[int, int, int]
    seconds: float | None = None
    quartiles: tuple[float, float] | None = None
    calls: int = 0
    times_faster: float | None = None
    peak_bytes: int | None = None
    operations: int | None = None
    host_syncs: int | None = None
    error: str | None = None
    update_seconds: float | None = None
    best_seconds: float | None = None
    allocator: str | None = None
