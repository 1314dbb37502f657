"""Measure the built-in losses against their goals.

Each goal is one measurement of a loss and a peer, in one process on one core in float32, in both states of the
allocator. On another device the same measurements are made, but the goals do not apply there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch

from .allocator import STATES, allocator, can_be_set
from .call import Bench
from .contenders import contender, peers_of
from .cuda_graph import replay_seconds
from .goals import EUCLIDEAN, GOALS, LARGEST_EXPONENT, LARGEST_PEAK_BYTES, LARGEST_TRIPLET, ON_A_GPU, Goal
from .growth import measure_growth
from .measure import measure
from .row import Row

PML = "pytorch_metric_learning"
ANY_STATE = ""  # of an allocator that cannot be set

__all__ = ["GOALS", "Goal", "Line", "measure_goal", "measure_on_a_gpu", "run_suite"]


@dataclass(frozen=True)
class Line:
    """A goal and its measurement.

    Attributes:
        what: loss and workload.
        peer: name of the peer.
        goals: what is required.
        measured: what was measured, one text per goal.
        met: whether all goals were met; None if that was not judged.
        rows: measurements.
        reason: why a goal was missed: what the time of the loss consists of; empty if it was met.
    """

    what: str
    peer: str
    goals: tuple[str, ...]
    measured: tuple[str, ...]
    met: bool | None
    rows: tuple[Row, ...] = ()
    reason: str = ""

    def content(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)


def run_suite(seconds: float, told: Callable[[str], None] = lambda text: None, device: str = "cpu") -> Iterator[Line]:
    """Yield the rows of the suite.

    Args:
        seconds: approximate time per contender of a row and state of the allocator.
        told: receives a description of the next measurement.
        device: "cpu", "cuda" or "cuda:N".
    """
    for goal in GOALS:
        told(f"{goal.loss} {goal.workload}")
        yield measure_goal(goal, seconds, device)
    told(f"triplet {LARGEST_TRIPLET}")
    yield _largest(seconds, device)
    yield from measure_on_a_gpu()


def measure_goal(goal: Goal, seconds: float, device: str = "cpu") -> Line:
    """Return the row of a goal; without a figure if the package of the peer is not installed.

    Args:
        goal: the goal.
        seconds: approximate time per contender and state of the allocator.
        device: "cpu", "cuda" or "cuda:N".
    """
    if goal.against == "pml" and find_spec(PML) is None:
        return Line(f"{goal.loss} {goal.workload}", goal.against, (), (f"not measured: {PML} is not installed",), None)
    contenders = [contender(goal.loss), *(peers_of(goal.loss, goal.against) if goal.against else [])]
    found: dict[str, list[Row]] = {}
    for state in STATES if device == "cpu" and can_be_set() else (ANY_STATE,):
        with allocator(state):
            rows = measure(contenders, replace(goal.workload, device=device), seconds=seconds)
        found[state] = [replace(row, allocator=state) for row in rows]
    line = _judged(goal, found)
    return line if device == "cpu" else replace(line, met=None, reason="")


def _judged(goal: Goal, by_state: Mapping[str, list[Row]]) -> Line:
    what, goals, measured, met = f"{goal.loss} {goal.workload}", [], [], []
    rows = [row for found in by_state.values() for row in found]
    first = rows[0]
    peer = next(iter(by_state.values()))[1].name if goal.against else "-"
    if failed := [f"{row.name}: {row.error}" for row in rows if row.error]:
        return Line(what, peer, (), tuple(failed), False, tuple(rows))

    def judge(wanted: str, ratios: Mapping[str, float], reached: Callable[[float], bool]) -> None:
        goals.append(wanted)
        measured.append(", ".join(f"{ratio:,.2f}x {state}".strip() for state, ratio in ratios.items()))
        met.append(all(map(reached, ratios.values())))

    if (faster := goal.times_faster) is not None:
        ratios = {state: _best(found[1]) / _best(found[0]) for state, found in by_state.items()}
        judge(f"{faster:g}x faster", ratios, lambda ratio: ratio >= faster)
    if (update := goal.times_of_update) is not None:
        ratios = {state: (found[0].update_seconds or 0) / _best(found[0]) for state, found in by_state.items()}
        judge(f"update at most {update:g}x forward + backward", ratios, lambda ratio: ratio <= update)
    assert first.peak_bytes is not None
    if goal.times_smaller is not None:
        assert rows[1].peak_bytes is not None
        smaller = rows[1].peak_bytes / first.peak_bytes
        goals.append(f"{goal.times_smaller:g}x smaller")
        measured.append(f"{smaller:,.1f}x")
        met.append(smaller >= goal.times_smaller)
    if goal.peak_bytes is not None:
        goals.append(f"{goal.peak_bytes / 1e6:g} MB")
        measured.append(f"{first.peak_bytes / 1e6:.1f} MB")
        met.append(first.peak_bytes <= goal.peak_bytes)
    reason = "" if all(met) else _reason(first)
    return Line(what, peer, tuple(goals), tuple(measured), all(met), tuple(rows), reason)


def _best(row: Row) -> float:
    assert row.best_seconds is not None
    return row.best_seconds


def _reason(row: Row) -> str:
    """Return what the time of a loss consists of, and how much it varied."""
    assert row.seconds is not None
    assert row.operations
    per_operator = 1e6 * _best(row) / row.operations
    noise = row.seconds / _best(row) - 1
    return f"{row.operations} operators of {per_operator:,.1f} µs; median {noise:.0%} above the shortest time"


def _largest(seconds: float, device: str) -> Line:
    ours = contender(f"triplet({EUCLIDEAN})")
    sizes = [LARGEST_TRIPLET.batch // 4, LARGEST_TRIPLET.batch // 2, LARGEST_TRIPLET.batch]
    (growth,) = measure_growth([ours], replace(LARGEST_TRIPLET, device=device), "B", sizes, seconds=seconds)
    last, exponent = growth.rows[-1], growth.time_exponent
    what = f"{ours.name} {LARGEST_TRIPLET}"
    goals = ("finishes", f"{LARGEST_PEAK_BYTES / 1e6:g} MB", f"time ~ B^{LARGEST_EXPONENT}")
    if last.error or last.seconds is None or last.peak_bytes is None or exponent is None:
        return Line(what, "-", goals, (last.error or "no figures",), False, growth.rows)
    found = (f"{1e3 * last.seconds:,.0f} ms", f"{last.peak_bytes / 1e6:.1f} MB", f"B^{exponent:.2f}")
    met = last.peak_bytes <= LARGEST_PEAK_BYTES and exponent <= LARGEST_EXPONENT
    return Line(what, "-", goals, found, met if device == "cpu" else None, growth.rows)


def measure_on_a_gpu() -> Iterator[Line]:
    """Yield the rows of losses captured in a CUDA graph; without figures on a machine without CUDA."""
    for loss, workload, most in ON_A_GPU:
        what, wanted = f"{loss} {workload}, CUDA graph", (f"{1e6 * most:,.0f} µs of stream time",)
        if not torch.cuda.is_available():
            yield Line(what, "-", wanted, ("not measured: no CUDA device",), None)
            continue
        try:
            found = replay_seconds(Bench(contender(loss), replace(workload, device="cuda")).call)
        except RuntimeError as error:
            yield Line(what, "-", wanted, (str(error).splitlines()[0],), False)
            continue
        yield Line(what, "-", wanted, (f"{1e6 * found:,.1f} µs",), found <= most)
