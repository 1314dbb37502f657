"""Stage `ferplus`: the reference grid on FER+, as many losses and seeds as the time allows."""

from __future__ import annotations

import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ferplus import CLAIMS, LOSSES
from forked_runs import ForkedRun

from gpu_stages.pack import described, unpack
from gpu_stages.results import Task
from lossbench import list_losses
from lossbench.runs.cells import CELLS, DONE, state
from lossbench.runs.grid_file import read_grid_file

REPORT_SECONDS = 45.0  # kept for the reports
EVIDENCE = ("record.json", "history.jsonl", "config.toml", "failure.json")


@dataclass(frozen=True)
class Part:
    """A grid: its model and size, and its share of the time that is left."""

    name: str
    options: tuple[str, ...]
    share: float


# Few epochs, so that at least one seed of every loss ends within nine minutes; too few to train to the end.
PARTS = (
    Part("seresnet50", ("--model", "legacy_seresnet50", "--image-size", "96", "--epochs", "6"), 0.7),
    Part("senet-tiny", ("--model", "senet-tiny", "--epochs", "12"), 1.0),
)
SMOKE = (Part("senet-tiny", ("--model", "senet-tiny", "--image-size", "32", "--epochs", "1", "--batch-size", "32"), 1),)


def run(task: Task) -> None:
    """Unpack the data, run the grids one after the other, and write what ended."""
    if task.data is None:
        raise SystemExit("no packed data; pass --data FILE, made with: python benchmarks/gpu.py pack ferplus:DIR FILE")
    end = time.monotonic() + task.seconds
    data = unpack(task.data, task.work / "ferplus")
    task.note(described(task.data))
    losses = [name for name in LOSSES if name in list_losses()][: 2 if task.smoke else None]
    if missing := [name for name in LOSSES if name not in list_losses()]:
        task.note(f"Not installed, so not compared: {', '.join(missing)}.")
    reserve = 0.3 * task.seconds if task.smoke else REPORT_SECONDS
    for part in SMOKE if task.smoke else PARTS:
        seconds = part.share * (end - time.monotonic() - reserve)
        if seconds < 1:
            task.note(f"{part.name}: no time left.")
            continue
        grid = task.work / f"grid-{part.name}"
        _compare(task, part, data, losses, grid, seconds)
        _add_row(task, part, grid)
        _write(task, part, grid)


def _compare(task: Task, part: Part, data: Path, losses: list[str], grid: Path, seconds: float) -> None:
    cores = os.cpu_count() or 1
    jobs = max(1, min(4, cores // 4))
    machine = ["--device", task.device, "--jobs", str(jobs), "--workers", str(0 if task.smoke else cores // jobs - 1)]
    claims = [text for claim in CLAIMS if _compared(claim, losses) for text in ("--claim", claim)]
    arguments = [
        "compare", "--losses", ", ".join(losses), "--seeds", "1" if task.smoke else "5", "--data", f"ferplus:{data}",
        *part.options, *machine, *claims, "--cache", "--precision", "fp32" if task.smoke else "bf16",
        "--out", str(grid),
    ]  # fmt: skip
    comparison = ForkedRun(arguments, grid.with_suffix(".log"))
    try:
        comparison.wait(seconds)
    except TimeoutError:
        task.note(f"{part.name}: the time ended before the grid; finished cells are compared.")
    else:
        if comparison.code not in (0, 1):
            task.problem(f"{part.name}: compare ended with {comparison.code}: {comparison.said()[-400:]}")


def _compared(claim: str, losses: list[str]) -> bool:
    """Return whether a claim is about compared losses, or about what is derived from them."""
    return all(name.partition(" (")[0] in losses for name in claim.split(" > "))


def _add_row(task: Task, part: Part, grid: Path) -> None:
    """Store how much of a grid is finished; cells that failed are problems."""
    if not (grid / "compare.json").exists():
        return
    content = read_grid_file(grid)
    states = {cell: state(grid / CELLS / cell.name) for cell in content.cells}
    done = [cell for cell, (status, _) in states.items() if status == DONE]
    for cell, (status, message) in states.items():
        if message:
            task.problem(f"{part.name}, {cell.loss}, seed {cell.seed}: {status}: {message[:300]}")
    whole = [seed for seed in content.seeds if sum(c.seed == seed for c in done) == len(content.losses)]
    row = {"grid": part.name, "finished cells": len(done), "of": len(states), "seeds of every loss": len(whole)}
    task.add(row | {"options": " ".join(part.options)})


def _write(task: Task, part: Part, grid: Path) -> None:
    """Write the reports, and the records as an archive from which the reports can be made again, without figures."""
    if not (grid / "compare.json").exists():
        return
    page, text = (task.out / f"{part.name}{suffix}" for suffix in (".html", ".md"))
    report = ForkedRun(["report", str(grid), "--html", str(page), "--md", str(text)], grid.with_suffix(".log"))
    report.wait(4 * REPORT_SECONDS)
    if not page.exists():
        task.problem(f"{part.name}: no report: {report.said()[-400:]}")
    with zipfile.ZipFile(task.out / f"{part.name}-records.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(grid / "compare.json", "compare.json")
        for file in sorted((grid / CELLS).glob("*/*")):
            if file.name in EVIDENCE:
                archive.write(file, str(file.relative_to(grid)))
