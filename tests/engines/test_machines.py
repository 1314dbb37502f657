"""What a job checks before it runs cells, and what stops a comparison before anything is submitted."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lossbench.errors import ConfigError
from lossbench.harness.grid import slurm_commands
from lossbench.harness.grid.job import JOBS, Task, check_machine, read_cells, remove_task, work, write_task
from lossbench.harness.grid.slurm_options import read_slurm_options
from lossbench.runs.cells import Cell
from lossbench.runs.grid_file import GridFile, write_grid_file
from lossbench.runs.options import RunConfig

ASKED = ("compare", "--losses", "softmax", "--seeds", 1, "--data", "synthetic(images=96)", "--out", "grid")


def task_in(out: Path) -> Task:
    return write_task([Cell(loss="softmax", config=RunConfig(loss="softmax"), matters={"torch": "2"})], out)


def test_a_job_reads_the_cells_of_its_submission(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    check_machine(task)
    assert [cell.to_json() for cell in read_cells(task)] == [
        Cell(loss="softmax", config=RunConfig(loss="softmax"), matters={"torch": "2"}).to_json()
    ]
    remove_task(tmp_path, task.attempt)
    assert list((tmp_path / JOBS).iterdir()) == []


@pytest.mark.parametrize("found", ["another directory", "nothing"])
def test_a_directory_that_a_node_does_not_share_is_refused(tmp_path: Path, found: str) -> None:
    task = task_in(tmp_path)
    (tmp_path / JOBS).rename(tmp_path / "elsewhere")
    if found == "nothing":
        task = dataclasses.replace(task, out=str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=f"does not share .*: {found} is at that path. Pass an --out on"):
        work(task.to_json())


def test_a_token_of_another_submission_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not share"):
        check_machine(dataclasses.replace(task_in(tmp_path), token="0" * 32))


def test_another_version_on_a_node_is_refused(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    other = dataclasses.replace(task, versions=task.versions | {"lossbench": "0.0.9"})
    with pytest.raises(ConfigError, match=r"lossbench 0\.1\.0 instead of 0\.0\.9, .* Install lossbench==0\.0\.9 there"):
        work(other.to_json())


def test_a_missing_package_is_named_with_its_command(lossbench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    ended = lossbench(*ASKED, "--executor", "slurm")
    assert ended.code == 2
    assert "jobs of --executor slurm need an optional package" in ended.err
    assert "Install it: pip install 'lossbench[slurm]'" in ended.err
    assert not Path("grid").exists()


def test_a_machine_without_slurm_is_told_where_to_go(lossbench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", ModuleType("submitit"))
    monkeypatch.setattr(slurm_commands.shutil, "which", lambda name: None)
    ended = lossbench(*ASKED, "--executor", "slurm")
    assert ended.code == 2
    assert "this machine has no Slurm (sbatch, squeue, scontrol, srun not found)" in ended.err
    assert "or use --executor local" in ended.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": "soon"}, "--slurm time=soon: expected minutes, HH:MM:SS or D-HH:MM"),
        ({"time": "0"}, "--slurm time=0: expected minutes"),
        ({"time": "1"}, "1 minutes end within the 90 s for checkpoints; pass a longer time"),
        ({"gpus": "half"}, "--slurm gpus=half: expected a whole number of at least 0"),
        ({"cells": "0"}, "--slurm cells=0: expected a whole number of at least 1"),
    ],
)
def test_a_wrong_option_of_slurm_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_slurm_options(options)


def test_the_status_says_why_jobs_of_slurm_wait(
    lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = GridFile(losses=("softmax",), samplers=("natural",), seeds=(0,), cells=())
    write_grid_file(tmp_path, grid)
    (tmp_path / JOBS).mkdir()
    (tmp_path / JOBS / "slurm.json").write_text('{"attempt": "a", "jobs": ["12"], "cells": []}')
    monkeypatch.setattr(slurm_commands.shutil, "which", lambda name: name)
    listed = "12_0 RUNNING None\n12_1 PENDING Resources\n"
    monkeypatch.setattr(slurm_commands, "_call", lambda *command: (0, listed, ""))
    assert "Slurm jobs: 12_0 running, 12_1 pending (Resources)" in lossbench("compare", "--status", tmp_path).out
