"""The performance goals of the built-in losses, and their measurement.

Each goal is one measurement of a loss and a peer, in one process on one core in float32. On another device the same
measurements are made, but the goals do not apply there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch

from .call import Bench
from .contenders import contender, peers_of
from .cuda_graph import replay_seconds
from .growth import measure_growth
from .measure import measure
from .row import Row
from .workload import Workload

EUCLIDEAN, PML = "distance=euclidean", "pytorch_metric_learning"


@dataclass(frozen=True)
class Goal:
    """One row of the suite.

    Attributes:
        loss: loss as in `lossbench bench`.
        workload: the batch.
        against: the peer.
        times_faster: minimum speed-up over the peer.
        times_smaller: minimum ratio of the peer's peak memory to this loss's.
        slower_by_at_most_seconds: maximum difference, instead of a ratio, for calls of microseconds.
        peak_bytes: maximum peak memory.
    """

    loss: str
    workload: Workload
    against: str
    times_faster: float | None = None
    times_smaller: float | None = None
    slower_by_at_most_seconds: float | None = None
    peak_bytes: float | None = None


@dataclass(frozen=True)
class Line:
    """A goal and its measurement: pairs of texts for the goal and the figure, and whether all were met."""

    what: str
    peer: str
    goals: tuple[str, ...]
    measured: tuple[str, ...]
    met: bool | None
    rows: tuple[Row, ...] = ()

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _softmax_goals() -> Iterator[Goal]:
    for loss in ("softmax", "weighted-softmax"):
        for batch, classes in ((8, 8), (128, 8), (1024, 8), (4096, 8), (256, 100), (1024, 100), (128, 1000)):
            size = batch * classes
            yield Goal(
                loss,
                Workload(batch, classes, 1),
                "torch",
                times_faster=0.95 if size >= 10_000 else None,
                slower_by_at_most_seconds=15e-6 if size < 10_000 else None,
            )
        yield Goal(loss, Workload(1024, 1000, 1), "torch", times_faster=0.95)
        yield Goal(loss, Workload(512, 10_000, 1), "torch", times_faster=1.5)


def _with_centers(batch: int, classes: int, dim: int) -> Workload:
    """Return a workload in which centers receive a gradient, as in implementations where they are parameters."""
    return Workload(batch, classes, dim, state_learns=True)


GOALS = (
    Goal("weighted-cluster", _with_centers(128, 8, 2048), "naive", times_faster=25, times_smaller=15),
    Goal("weighted-cluster", _with_centers(512, 1000, 512), "naive", times_faster=1500, times_smaller=900),
    Goal("center", _with_centers(512, 1000, 512), "naive", times_faster=20),
    Goal("center", _with_centers(512, 10_000, 512), "naive", times_faster=60),
    Goal(f"triplet({EUCLIDEAN})", Workload(8, 2, 128), "pml", times_faster=1.0),
    Goal(f"triplet({EUCLIDEAN})", Workload(16, 4, 128), "pml", times_faster=1.3),
    Goal(f"triplet({EUCLIDEAN})", Workload(32, 8, 128), "pml", times_faster=1.5),
    Goal(f"triplet({EUCLIDEAN})", Workload(256, 8, 128), "pml", times_faster=25),
    Goal(f"triplet({EUCLIDEAN})", Workload(512, 8, 128), "pml", times_faster=80),
    Goal(f"triplet({EUCLIDEAN})", Workload(1024, 8, 128), "pml", times_faster=200, peak_bytes=20e6),
    Goal(f"triplet({EUCLIDEAN},mining=hard)", Workload(512, 8, 128), "pml", times_faster=1.5),
    Goal(f"triplet({EUCLIDEAN},mining=semihard)", Workload(512, 8, 128), "pml", times_faster=20),
    *_softmax_goals(),
)

LARGEST_TRIPLET = Workload(4096, 8, 128)
LARGEST_PEAK_BYTES, LARGEST_EXPONENT = 150e6, 2.3

ON_A_GPU = (
    ("weighted-cluster", Workload(128, 8, 2048), 15e-6),
    ("weighted-cluster", Workload(4096, 8, 2048), 30e-6),
    ("triplet", Workload(4096, 8, 128), 3e-3),
)


def run_suite(seconds: float, told: Callable[[str], None] = lambda text: None, device: str = "cpu") -> Iterator[Line]:
    """Yield the rows of the suite.

    Args:
        seconds: approximate time per contender of a row.
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
        seconds: approximate time per contender.
        device: "cpu", "cuda" or "cuda:N".
    """
    if goal.against == "pml" and find_spec(PML) is None:
        return Line(f"{goal.loss} {goal.workload}", goal.against, (), (f"not measured: {PML} is not installed",), None)
    contenders = [contender(goal.loss), *peers_of(goal.loss, goal.against)]
    line = _judged(goal, measure(contenders, replace(goal.workload, device=device), seconds=seconds))
    return line if device == "cpu" else replace(line, met=None)


def _judged(goal: Goal, rows: list[Row]) -> Line:
    ours, peer = rows
    what, goals, measured, met = f"{goal.loss} {goal.workload}", [], [], []

    def judge(wanted: str, found: str, reached: bool) -> None:
        goals.append(wanted)
        measured.append(found)
        met.append(reached)

    if failed := [f"{row.name}: {row.error}" for row in rows if row.error]:
        return Line(what, peer.name, (), tuple(failed), False, tuple(rows))
    assert ours.seconds is not None
    assert peer.seconds is not None
    assert peer.times_faster is not None
    assert ours.peak_bytes is not None
    assert peer.peak_bytes is not None
    if goal.times_faster is not None:
        judge(f"{goal.times_faster:g}x faster", f"{peer.times_faster:,.2f}x", peer.times_faster >= goal.times_faster)
    if goal.times_smaller is not None:
        smaller = peer.peak_bytes / ours.peak_bytes
        judge(f"{goal.times_smaller:g}x smaller", f"{smaller:,.1f}x", smaller >= goal.times_smaller)
    if goal.slower_by_at_most_seconds is not None:
        slower = ours.seconds - peer.seconds
        most = goal.slower_by_at_most_seconds
        judge(f"at most {1e6 * most:g} µs slower", f"{1e6 * slower:+.1f} µs", slower <= most)
    if goal.peak_bytes is not None:
        judge(f"{goal.peak_bytes / 1e6:g} MB", f"{ours.peak_bytes / 1e6:.1f} MB", ours.peak_bytes <= goal.peak_bytes)
    return Line(what, peer.name, tuple(goals), tuple(measured), all(met), tuple(rows))


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
