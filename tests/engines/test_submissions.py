"""What `--executor slurm` does with jobs that were submitted before, without a Slurm."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lossbench.errors import ConfigError, RunFailed
from lossbench.harness.grid import slurm
from lossbench.harness.grid.executors import Order, Submitted
from lossbench.harness.grid.job import write_task
from lossbench.harness.grid.slurm_submissions import Submission, read_submission, write_submission
from lossbench.runs.cells import Cell, write_failure
from lossbench.runs.options import RunConfig

CELLS = tuple(Cell(loss="softmax", config=RunConfig(loss="softmax", seed=seed), matters={}) for seed in range(3))
TRIAL = dataclasses.replace(CELLS[0], sealed=True)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A grid of which two cells were submitted as job 7; whatever is submitted later becomes job 8."""
    (tmp_path / "cells").mkdir()
    (tmp_path / "trials").mkdir()
    task = write_task(CELLS[:2], tmp_path)
    write_submission(tmp_path, Submission(task.attempt, ("7",), tuple(cell.name for cell in CELLS[:2])))
    monkeypatch.setattr(slurm, "_submit", lambda task, options, number: ("8",))
    return tmp_path


def jobs_are(monkeypatch: pytest.MonkeyPatch, alive: bool) -> None:
    monkeypatch.setattr(slurm, "jobs_alive", lambda jobs: alive)


def finish(out: Path, *cells: Cell) -> None:
    for cell in cells:
        cell.place(out).mkdir(exist_ok=True)
        (cell.place(out) / "record.json").touch()


def order(out: Path, *cells: Cell) -> Order:
    return Order(cells=cells, out=out, watch=lambda cell, event: None)


def test_finished_trials_leave_the_jobs_of_the_cells_alone(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs_are(monkeypatch, alive=True)
    write_failure(TRIAL.place(grid), "failed", "out of memory", TRIAL.config)
    before = read_submission(grid)
    slurm.run(order(grid, TRIAL))
    assert read_submission(grid) == before
    assert len(list((grid / "jobs").iterdir())) == 3


def test_other_cells_wait_until_the_jobs_have_ended(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs_are(monkeypatch, alive=True)
    with pytest.raises(ConfigError, match=r"Slurm job 7 runs other cells of .*; wait until it has ended, or cancel it"):
        slurm.run(order(grid, CELLS[2]))
    jobs_are(monkeypatch, alive=False)
    with pytest.raises(Submitted, match=r"submitted 1 Slurm jobs \(8\) for 1 cells"):
        slurm.run(order(grid, CELLS[2]))
    assert (read_submission(grid) or Submission("", (), ())).jobs == ("8",)


def test_cells_that_are_added_are_submitted_after_the_others(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs_are(monkeypatch, alive=True)
    finish(grid, *CELLS[:2])
    with pytest.raises(Submitted, match=r"submitted 1 Slurm jobs \(8\) for 1 cells"):
        slurm.run(order(grid, *CELLS))
    finish(grid, CELLS[2])
    slurm.run(order(grid, *CELLS))
    assert read_submission(grid) is None


def test_jobs_that_ended_early_are_told_once_and_their_cells_submitted_again(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs_are(monkeypatch, alive=False)
    finish(grid, CELLS[0])
    with pytest.raises(RunFailed, match="Slurm job 7 ended, and 1 of 2 cells are not finished: the jobs left no log"):
        slurm.run(order(grid, *CELLS[:2]))
    with pytest.raises(Submitted, match=r"\(8\) for 1 cells"):
        slurm.run(order(grid, *CELLS[:2]))
