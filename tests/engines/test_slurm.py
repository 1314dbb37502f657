"""`compare --executor slurm` on a real Slurm of one node, which `scripts/slurm-here` starts from Debian's packages."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from lossbench.harness.grid import job

pytestmark = pytest.mark.engines

LOSS = f"{Path(__file__).with_name('slow_loss.py')}:Slow"
EPOCHS, STEPS = 16, 3
ASKED = (
    "compare", "--losses", LOSS, "--seeds", 1, "--data", "synthetic(images=96,test_images_per_class=4)", "--model",
    "test_resnet", "--image-size", 32, "--epochs", EPOCHS, "--batch-size", 32, "--device", "cpu",
    "--checkpoint-every", 1000, "--json", "--out",
)  # fmt: skip


def wait_until(condition: Any, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.5)


def weights(grid: Path) -> list[str]:
    records = sorted(grid.glob("cells/*/record.json"))
    return [json.loads(record.read_text())["weights_sha256"] for record in records]


def test_a_grid_whose_cells_take_longer_than_the_limit_ends_by_requeueing(
    slurm: None, lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    whole = lossbench(*ASKED, tmp_path / "whole")
    steps, grid = tmp_path / "steps", tmp_path / "grid"
    monkeypatch.setenv("STEP_FILE", str(steps))
    monkeypatch.setenv("STEP_SECONDS", "2")  # 96 s a cell; Slurm sends the signal 60 to 90 s after the start
    submitted = lossbench(*ASKED, grid, "--executor", "slurm", "--slurm", "time=2 signal_delay_s=30", "--jobs", 1)
    assert (submitted.code, submitted.out) == (0, ""), submitted.err
    assert "submitted 1 Slurm jobs" in submitted.err
    wait_until(lambda: json.loads(lossbench("compare", "--status", grid, "--json").out)["counts"]["running"] == 1)
    status = json.loads(lossbench("compare", "--status", grid, "--json").out)
    assert [cell["node"] for cell in status["cells"] if cell["state"] == "running"] == [os.uname().nodename]
    ended = lossbench(*ASKED, grid, "--executor", "slurm")  # waits, and judges
    assert "entrants" in json.loads(ended.out), ended.err
    assert weights(grid) == weights(tmp_path / "whole")
    assert whole.code == ended.code
    (slow,) = [json.loads(r.read_text()) for r in grid.glob("cells/*/record.json") if "Slow" in r.parent.name]
    starts = len(set(steps.read_text().splitlines())) - 1  # the first line is of the plan
    trials = starts + 1  # each process tries one batch first
    lost = len(steps.read_text().splitlines()) - trials - EPOCHS * STEPS
    told = f"{starts} starts, {slow['timing']['resumed']} continuations, {lost} steps trained again"
    record_property("lost", told)
    assert slow["timing"]["resumed"] == starts - 1 >= 1
    assert lost <= starts - 1  # at most the step that a signal interrupts


def started_job(
    lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path, tuple[object, ...]]:
    """Submit a grid as one job and wait until it trains: the grid, the file of steps, and the command."""
    grid, steps = tmp_path / "grid", tmp_path / "steps"
    monkeypatch.setenv("STEP_FILE", str(steps))
    monkeypatch.setenv("STEP_SECONDS", "0.5")
    call = (*ASKED, grid, "--executor", "slurm", "--jobs", 1, "--epochs", 6)
    assert lossbench(*call).code == 0
    wait_until(lambda: steps.exists() and len(steps.read_text().splitlines()) > 4)
    return grid, steps, call


def test_a_cancelled_job_stays_so_and_its_cells_are_submitted_again(
    slurm: None, lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, _, call = started_job(lossbench, tmp_path, monkeypatch)
    subprocess.run(["scancel", "--user=root"], check=True)
    ended = lossbench(*call)
    assert ended.code == 1
    assert "1 of 2 cells are not finished: " in ended.err
    assert "CANCELLED" in ended.err
    assert list(grid.glob("cells/*/checkpoint/step-*"))
    assert "submitted 1 Slurm jobs" in lossbench(*call).err
    assert json.loads(lossbench(*call).out)["entrants"]


def test_an_unknown_partition_is_one_error_with_the_known_ones(slurm: None, lossbench: Any, tmp_path: Path) -> None:
    ended = lossbench(*ASKED, tmp_path / "grid", "--executor", "slurm", "--slurm", "partition=nowhere")
    assert ended.code == 2
    assert "sbatch refused the jobs: invalid partition specified: nowhere" in ended.err
    assert "Partitions: gpu, main. Change --slurm; nothing was started" in ended.err
    assert not list((tmp_path / "grid/jobs").glob("*.token"))


def test_a_job_that_gets_sigusr1_is_requeued_and_continues(
    slurm: None, lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    grid, steps, call = started_job(lossbench, tmp_path, monkeypatch)
    subprocess.run(["scancel", "--signal=USR1", *job_of(grid)], check=True)
    ended = lossbench(*call)
    assert "entrants" in json.loads(ended.out), ended.err
    (slow,) = [json.loads(r.read_text()) for r in grid.glob("cells/*/record.json") if "Slow" in r.parent.name]
    lost = len(steps.read_text().splitlines()) - 3 - 6 * STEPS  # the plan and each start try one batch first
    record_property("lost", f"{slow['timing']['resumed']} continuations, {lost} steps trained again")
    assert slow["timing"]["resumed"] == 1
    assert lost <= 1


def job_of(grid: Path) -> list[str]:
    """The jobs that were submitted last."""
    return list(json.loads((grid / "jobs/slurm.json").read_text())["jobs"])


def test_tuning_and_budgets_are_submissions_one_after_the_other(slurm: None, lossbench: Any, tmp_path: Path) -> None:
    grid = tmp_path / "grid"
    call = (
        "compare", "--losses", "softmax", "--seeds", 2, "--tune", "lr=1e-3:1e-2:log", "--trials", 2, "--budgets",
        "1x,2x", *ASKED[5:11], "--epochs", 1, "--batch-size", 32, "--device", "cpu", "--json", "--out", grid,
        "--executor", "slurm", "--jobs", 1,
    )  # fmt: skip
    submitted = [lossbench(*call).err for _ in range(4)]  # trials, cells, and both with the second budget
    assert [text.count("submitted 1 Slurm jobs") for text in submitted] == [1] * 4, submitted
    ended = lossbench(*call)
    assert [budget["budget"] for budget in json.loads(ended.out)["budgets"]] == ["2x"], ended.err
    for place in (grid, grid / "budgets/2x"):
        assert len(list(place.glob("trials/*/record.json"))) == len(list(place.glob("cells/*/record.json"))) == 2
        assert not (place / "jobs/slurm.json").exists()


# --- nodes that cannot run cells -------------------------------------------------------------------------------------

SHORT = ("--epochs", 2, "--checkpoint-every", 1, "--executor", "slurm", "--jobs", 1)


def test_a_node_with_another_version_is_one_error(
    slurm: None, lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = (*ASKED, tmp_path / "grid", *SHORT)
    monkeypatch.setattr(job, "version", lambda package: "0.0.9" if package == "lossbench" else version(package))
    assert lossbench(*call).code == 0
    monkeypatch.undo()
    ended = lossbench(*call)
    assert ended.code == 2
    assert f"2 of 2 cells are not finished: {os.uname().nodename} has lossbench 0.1.0 instead of 0.0.9" in ended.err
    assert "Install lossbench==0.0.9 there, or use one environment on all nodes" in ended.err
    assert "submitted" in lossbench(*call).err
    assert json.loads(lossbench(*call).out)["entrants"]


def test_a_directory_that_a_node_does_not_share_is_one_error(slurm: None, lossbench: Any, tmp_path: Path) -> None:
    call = (*ASKED, tmp_path / "grid", *SHORT)
    assert lossbench(*call).code == 0
    (token,) = (tmp_path / "grid/jobs").glob("*.token")
    token.write_text("of another file system")
    ended = lossbench(*call)
    assert ended.code == 2
    assert f"does not share {tmp_path}/grid with the machine that submitted the comparison" in ended.err
    assert "Pass an --out on a file system that all nodes mount at the same path" in ended.err


def test_a_full_disk_on_a_node_is_one_error_and_loses_nothing(slurm: None, lossbench: Any, tmp_path: Path) -> None:
    """By a limit on the size of files, which Slurm passes on to jobs."""
    grid = tmp_path / "grid"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        submitted = lossbench(*ASKED, grid, *SHORT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert submitted.code == 0, submitted.err
    ended = lossbench(*ASKED, grid, *SHORT)
    assert ended.code == 1
    assert "2 of 2 cells are not finished: " in ended.err
    assert "the file-size limit is reached" in ended.err
    assert not list(grid.glob("cells/*/failure.json"))
    assert "submitted" in lossbench(*ASKED, grid, *SHORT).err
    assert json.loads(lossbench(*ASKED, grid, *SHORT).out)["entrants"]
