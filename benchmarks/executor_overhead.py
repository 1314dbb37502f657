"""Measure what an executor adds to each cell of a grid: python benchmarks/executor_overhead.py [--out results.md]

A grid of short cells runs on two workers: by `local`, by `ray` on this machine, and by `slurm` if a Slurm answers here
(`eval "$(scripts/slurm-here start slurm)"`). The overhead per cell is (workers x wall time - time of all runs) / cells,
where the time of a run is `timing.total_seconds` of its record. The wall time begins before the executor starts
anything and ends when the last cell is known to be done, so that starts of processes, claims and looks at files count.
Prints a Markdown table; an engine that is not installed is a row that says so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lossbench.expression import parse_formula
from lossbench.harness.grid.executors import Order, Submitted, executor
from lossbench.harness.grid.plan import plan, write_grid
from lossbench.machine.facts import machine
from lossbench.runs.options import RunConfig

WORKERS = 2
WANTED = {"local": 0.3, "ray": 0.5, "slurm": 3.0}  # seconds per cell
OPTIONS = {"local": {}, "ray": {"cpus": "1"}, "slurm": {"time": "60", "cpus": "1"}}


def main() -> int:
    """Measure, print the table, and return the exit code: 1 if a cell failed or an executor took longer than wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100, help="number of cells (default: 100)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of a cell (default: 4)")
    parser.add_argument("--executors", default="local,ray,slurm", help="comma-separated (default: local,ray,slurm)")
    parser.add_argument("--out", type=Path, help="file of the table, beside standard output")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows, slow = [], False
    for name in given.executors.split(","):
        if why := missing(name):
            rows.append(f"| {name} | {why} | | | | {WANTED[name]:g} |")
            continue
        wall, seconds = measure(name, given.cells, given.epochs)
        overhead = (WORKERS * wall - sum(seconds)) / given.cells
        slow |= overhead > WANTED[name] or len(seconds) < given.cells
        mean = sum(seconds) / max(1, len(seconds))
        rows.append(f"| {name} | {len(seconds)} | {mean:.2f} | {wall:.1f} | {overhead:.2f} | {WANTED[name]:g} |")
        print(rows[-1], file=sys.stderr, flush=True)
    where = f"{machine()['processor']}, {os.cpu_count()} cores"
    head = [
        f"{given.cells} cells on {WORKERS} workers of one thread each; {where}.",
        "",
        "| executor | cells finished | seconds per run | wall time, s | overhead per cell, s | wanted |",
        "|-|-|-|-|-|-|",
    ]
    table = "\n".join([*head, *rows])
    print(table)
    if given.out:
        given.out.write_text(table + "\n")
    return int(slow)


def missing(name: str) -> str:
    """Return why an executor cannot be measured here; empty if it can."""
    if name == "ray" and importlib.util.find_spec("ray") is None:
        return "Ray is not installed"
    if name == "slurm" and importlib.util.find_spec("submitit") is None:
        return "submitit is not installed"
    if name == "slurm" and (
        shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode
    ):
        return "no Slurm answers"
    return ""


def measure(name: str, cells: int, epochs: int) -> tuple[float, list[float]]:
    """Run a grid; return its wall time and the seconds of each finished run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "grid"
        config = RunConfig(
            loss="softmax", data="synthetic(images=192,test_images_per_class=2)", model="test_resnet", image_size=32,
            batch_size=32, epochs=epochs, device="cpu",
        )  # fmt: skip
        grid = plan(config, [parse_formula("softmax")], ["natural"], range(cells))
        write_grid(out, grid)
        order = Order(cells=grid.cells, out=out, watch=lambda cell, event: None, jobs=WORKERS, options=OPTIONS[name])
        execute = executor(name, OPTIONS[name])
        began = time.perf_counter()
        with contextlib.suppress(Submitted):
            execute(order)
        execute(order)  # waits for what was submitted
        wall = time.perf_counter() - began
        records = [json.loads(record.read_text()) for record in out.glob("cells/*/record.json")]
    return wall, [record["timing"]["total_seconds"] for record in records]


if __name__ == "__main__":
    sys.exit(main())
