"""Runs a grid of `lossbench run` cells, one thread each, and reads their records. Finished cells are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One run: its directory's name and the options of `lossbench run`."""

    name: str
    options: tuple[str, ...]


def run_cells(cells: Sequence[Cell], out: Path, jobs: int) -> dict[str, dict[str, Any]]:
    """Runs what has no record yet and gives name -> record, with the history's last row under "last_epoch".

    Args:
        cells: the grid.
        out: directory of the runs.
        jobs: cells at a time.
    """
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        records = list(pool.map(lambda cell: _run(cell, out), cells))
    return {cell.name: record for cell, record in zip(cells, records, strict=True)}


def _run(cell: Cell, out: Path) -> dict[str, Any]:
    directory = out / cell.name
    if not (directory / "record.json").exists():
        if directory.exists():  # an interrupted cell
            directory.rename(directory.with_name(f"{cell.name}.interrupted-{os.getpid()}"))
        command = [sys.executable, "-m", "lossbench", "run", *cell.options, "--out", str(directory)]
        # One thread a run: two runs side by side on two cores then finish sooner than one after the other.
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        print(f"{cell.name}: exit {done.returncode}", file=sys.stderr, flush=True)
        if done.returncode:
            raise SystemExit(f"{cell.name} failed: {' '.join(command)}\n{done.stderr[-2000:]}")
    record: dict[str, Any] = json.loads((directory / "record.json").read_text())
    record["last_epoch"] = json.loads((directory / "history.jsonl").read_text().splitlines()[-1])
    return record
