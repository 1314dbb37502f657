"""Simulate a grid of 10,000 cells on 200 workers that fail, are preempted and are slow, on the real claiming code.

    python benchmarks/cluster_simulation.py [--cells 10000] [--workers 200] [--out results.md]

The clock is simulated; the directory, the claims (`claim`, `settled`, locks of the operating system), the files of a
submission and `--status` are real. Training is not: a cell is a duration, a record and the names of its checkpoints.
Prints a Markdown table and exits with 1 if a cell ran twice, was held twice at a time, or was never finished.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import os
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from lossbench.harness.grid.job import write_task
from lossbench.runs.cells import Cell, checkpoint_step, claim, settled
from lossbench.runs.grid_file import GridCell, GridFile, write_grid_file
from lossbench.runs.grid_status import read_status
from lossbench.runs.options import RunConfig

LOSSES, SEEDS = 22, 20
HOUR = 3600.0
CELL_SECONDS, CHECKPOINT_SECONDS, START_SECONDS = 0.5 * HOUR, 300.0, 20.0
LIMIT_SECONDS = 24 * HOUR  # of a job, after which it is requeued
PREEMPTION_SECONDS, DEATH_SECONDS = 12 * HOUR, 72 * HOUR  # means, per worker
QUEUE_SECONDS = 300.0  # until a requeued job starts again
SLOW_SHARE, SLOW_FACTOR = 0.05, 4.0


@dataclass
class Worker:
    """One job of the array."""

    speed: float
    queue: deque[Cell] = field(default_factory=deque)
    until: float = 0.0  # when the current start of the job ends
    gently: bool = True  # whether cells write a checkpoint when it ends
    cell: Cell | None = None
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    began: float = 0.0
    reached: float = 0.0  # seconds of work that the cell's checkpoint holds


@dataclass
class Found:
    """What the simulation counted."""

    seconds: float = 0.0
    lost: float = 0.0
    starts: int = 0
    continued: int = 0
    looks: int = 0
    twice: int = 0
    held: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    status_seconds: float = 0.0


def main() -> int:
    """Simulate, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--out", type=Path, help="file of the table, beside standard output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        cells = made_cells(arguments.cells)
        write_grid_file(out, grid_of(cells))
        write_task(cells, out)
        found = simulate(cells, out, arguments.workers)
        table = table_of(found, cells, out, arguments.workers)
        good = len(found.finished) == len(cells) and not found.twice
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n")
    return 0 if good else 1


def made_cells(number: int) -> list[Cell]:
    """Return cells of as many losses, seeds and sets of data as make up the number."""
    made = []
    for n in range(number):
        seed, rest = divmod(n, LOSSES)
        loss, data = f"softmax + 0.{1 + rest:02d}*center", f"csv:set{seed // SEEDS}.csv"
        config = RunConfig(loss=loss, seed=seed % SEEDS, data=data)
        made.append(Cell(loss=config.loss, config=config, matters={"lossbench": "0.1.0", "data": ["0" * 64, "1" * 64]}))
    return made


def grid_of(cells: list[Cell]) -> GridFile:
    """Return the content of `compare.json`."""
    listed = tuple(GridCell(loss=c.loss, sampler="natural", seed=c.config.seed, name=c.name) for c in cells)
    losses = tuple(dict.fromkeys(c.loss for c in cells))
    return GridFile(losses=losses, samplers=("natural",), seeds=tuple(range(SEEDS)), cells=listed)


def simulate(cells: list[Cell], out: Path, number: int) -> Found:
    """Run all cells in simulated time."""
    draw, found = random.Random(0), Found()
    workers = [Worker(SLOW_FACTOR if draw.random() < SLOW_SHARE else 1.0) for _ in range(number)]
    events = [(draw.uniform(0, QUEUE_SECONDS), n, "start") for n in range(number)]
    heapq.heapify(events)
    looked = False
    while events:
        now, n, what = heapq.heappop(events)
        worker, found.seconds = workers[n], max(found.seconds, now)
        if what == "start":
            found.starts += 1
            worker.queue = deque(cells)
            preempted, died = draw.expovariate(1 / PREEMPTION_SECONDS), draw.expovariate(1 / DEATH_SECONDS)
            worker.until = now + min(LIMIT_SECONDS, preempted, died)
            worker.gently = died > min(LIMIT_SECONDS, preempted)
            now += START_SECONDS * worker.speed
        elif worker.cell is not None and what == "end":
            finish(worker, out, found)
        elif what == "stop":
            interrupt(worker, out, now, found)
            heapq.heappush(events, (now + QUEUE_SECONDS, n, "start"))
            continue
        left = next_cell(worker, out, now, found)
        if left is not None:
            ends = now + left * worker.speed
            heapq.heappush(events, (min(ends, worker.until), n, "end" if ends <= worker.until else "stop"))
        if not looked and len(found.finished) * 2 > len(cells):
            looked, began = True, time.perf_counter()
            read_status(out)
            found.status_seconds = time.perf_counter() - began
    return found


def next_cell(worker: Worker, out: Path, now: float, found: Found) -> float | None:
    """Claim the next cell that is free; return its remaining seconds, or None if none is left."""
    while worker.queue:
        cell = worker.queue.popleft()
        place = cell.place(out)
        found.looks += 1
        if settled(place):
            continue
        held = contextlib.ExitStack()
        if not held.enter_context(claim(place)) or settled(place):
            held.close()
            continue
        found.twice += cell.name in found.held
        found.held.add(cell.name)
        worker.cell, worker.held, worker.began, worker.reached = cell, held, now, float(checkpoint_step(place))
        found.continued += worker.reached > 0
        return CELL_SECONDS - worker.reached
    return None


def finish(worker: Worker, out: Path, found: Found) -> None:
    """Write the record of a cell and release it."""
    assert worker.cell is not None
    place = worker.cell.place(out)
    place.mkdir(exist_ok=True)
    (place / "record.json").write_text("{}")
    found.twice += worker.cell.name in found.finished
    found.finished.add(worker.cell.name)
    release(worker, found)


def interrupt(worker: Worker, out: Path, now: float, found: Found) -> None:
    """End a start of a job: with a checkpoint, or with the newest one of its interval."""
    assert worker.cell is not None
    done = (now - worker.began) / worker.speed
    kept = done if worker.gently else done // CHECKPOINT_SECONDS * CHECKPOINT_SECONDS
    found.lost += (done - kept) * worker.speed
    if (step := int(worker.reached + kept)) > 0:
        (worker.cell.place(out) / "checkpoint" / f"step-{step:09d}").mkdir(parents=True, exist_ok=True)
    release(worker, found)


def release(worker: Worker, found: Found) -> None:
    """Release the cell of a worker, as the operating system does when a process ends."""
    assert worker.cell is not None
    found.held.remove(worker.cell.name)
    worker.held.close()
    worker.cell = None


def table_of(found: Found, cells: list[Cell], out: Path, workers: int) -> str:
    """Return the result as Markdown."""
    sizes = [os.stat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(out) for name in names]
    work = len(cells) * CELL_SECONDS
    rows = [
        ("cells, workers", f"{len(cells):,}, {workers}"),
        ("cells finished", f"{len(found.finished):,}"),
        ("cells run twice, or by two workers at a time", f"{found.twice}"),
        ("simulated hours; of work per worker alone", f"{found.seconds / HOUR:.1f}; {work / workers / HOUR:.1f}"),
        ("starts of jobs; cells continued", f"{found.starts:,}; {found.continued:,}"),
        ("work lost to dead nodes", f"{found.lost / HOUR:.1f} h, {100 * found.lost / work:.3f} % of all"),
        ("looks at cells by all workers", f"{found.looks:,}, {found.looks / len(cells):.0f} per cell"),
        ("files in the directory, without the results of runs", f"{len(sizes):,}, {sum(sizes) / 2**20:.1f} MiB"),
        ("`--status` when half was done", f"{found.status_seconds:.2f} s"),
    ]
    return "\n".join(["| | |", "|-|-|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(main())
