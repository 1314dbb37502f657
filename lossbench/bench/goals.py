"""The performance goals of the built-in losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .workload import Workload

EUCLIDEAN = "distance=euclidean"


@dataclass(frozen=True)
class Goal:
    """One row of the suite.

    Attributes:
        loss: loss as in `lossbench bench`.
        workload: the batch.
        against: the peer; empty for none.
        times_faster: minimum speed-up over the peer, by the shortest times.
        times_smaller: minimum ratio of the peer's peak memory to this loss's.
        peak_bytes: maximum peak memory.
        times_of_update: maximum ratio of the time of `update_state` to that of forward and backward.
    """

    loss: str
    workload: Workload
    against: str
    times_faster: float | None = None
    times_smaller: float | None = None
    peak_bytes: float | None = None
    times_of_update: float | None = None


def _softmax_goals() -> Iterator[Goal]:
    for loss, times in (("softmax", 0.98), ("weighted-softmax", 0.97)):
        for batch, classes in ((8, 8), (128, 8), (1024, 8), (4096, 8), (256, 100), (1024, 100), (128, 1000)):
            yield Goal(loss, Workload(batch, classes, 1), "torch", times_faster=times)
        yield Goal(loss, Workload(1024, 1000, 1), "torch", times_faster=times)
        yield Goal(loss, Workload(512, 10_000, 1), "torch", times_faster=times)


def _update_goals() -> Iterator[Goal]:
    for loss in ("center", "weighted-cluster"):
        for batch, classes, dim in ((128, 8, 2048), (512, 1000, 512), (512, 10_000, 512), (512, 100_000, 512)):
            yield Goal(loss, Workload(batch, classes, dim), "", times_of_update=2)


def _with_centers(batch: int, classes: int, dim: int) -> Workload:
    """Return a workload in which centers receive a gradient, as in implementations where they are parameters."""
    return Workload(batch, classes, dim, state_learns=True)


_ALL, _HARD = f"triplet({EUCLIDEAN})", f"triplet({EUCLIDEAN},mining=hard)"

GOALS = (
    Goal("weighted-cluster", _with_centers(128, 8, 2048), "naive", times_faster=30, times_smaller=15),
    Goal("weighted-cluster", _with_centers(512, 1000, 512), "naive", times_faster=4000, times_smaller=900),
    Goal("center", _with_centers(512, 1000, 512), "naive", times_faster=40),
    Goal("center", _with_centers(512, 10_000, 512), "naive", times_faster=60),
    *_update_goals(),
    Goal(_ALL, Workload(8, 2, 128), "pml", times_faster=2),
    Goal(_ALL, Workload(16, 4, 128), "pml", times_faster=2),
    Goal(_ALL, Workload(32, 8, 128), "pml", times_faster=2),
    Goal(_ALL, Workload(256, 8, 128), "pml", times_faster=25),
    Goal(_ALL, Workload(512, 8, 128), "pml", times_faster=80),
    Goal(_ALL, Workload(1024, 8, 128), "pml", times_faster=200, peak_bytes=20e6),
    Goal(_HARD, Workload(512, 8, 128), "pml", times_faster=3),
    Goal(_HARD, Workload(2048, 8, 128), "pml", times_faster=3),
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
