"""`compare --executor slurm` on a real Slurm of one node, which `scripts/slurm-here` starts from Debian's packages."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engines

ROOT = Path(__file__).parents[2]
LOSS = f"{Path(__file__).with_name('slow_loss.py')}:Slow"
EPOCHS, STEPS = 16, 3
ASKED = (
    "compare", "--losses", LOSS, "--seeds", 1, "--data", "synthetic(images=96,test_images_per_class=4)", "--model",
    "test_resnet", "--image-size", 32, "--epochs", EPOCHS, "--batch-size", 32, "--device", "cpu",
    "--checkpoint-every", 1000, "--json", "--out",
)  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A running Slurm."""
    if os.geteuid() != 0:
        pytest.skip("only root can start slurmd")
    if missing := [name for name in ("munged", "slurmctld", "slurmd") if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} not found: apt-get install slurm-wlm munge")
    if importlib.util.find_spec("submitit") is None:
        pytest.skip("submitit is missing: pip install 'lossbench[slurm]'")
    folder, script = tmp_path_factory.mktemp("slurm"), ROOT / "scripts/slurm-here"
    started = subprocess.run([script, "start", folder], capture_output=True, text=True, timeout=60, check=False)
    assert started.returncode == 0, started.stderr
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            patch.setenv("OMP_NUM_THREADS", "1")
            yield
            subprocess.run(["scancel", "--user=root"], timeout=60, check=False)
    finally:
        subprocess.run([script, "stop", folder], timeout=60, check=True)


def wait_until(condition: Any, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.5)


def weights(grid: Path) -> list[str]:
    records = sorted(grid.glob("cells/*/record.json"))
    return [json.loads(record.read_text())["weights_sha256"] for record in records]


def test_a_grid_whose_cells_take_longer_than_the_limit_ends_by_requeueing(
    slurm: None, lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    print(f"{starts} starts, {slow['timing']['resumed']} continuations, {lost} steps lost")
    assert slow["timing"]["resumed"] == starts - 1 >= 1
    assert lost <= starts - 1  # at most the step that a signal interrupts


def test_a_cancelled_job_stays_so_and_its_cells_are_submitted_again(
    slurm: None, lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, steps = tmp_path / "grid", tmp_path / "steps"
    monkeypatch.setenv("STEP_FILE", str(steps))
    monkeypatch.setenv("STEP_SECONDS", "0.5")
    call = (*ASKED, grid, "--executor", "slurm", "--jobs", 1, "--epochs", 6)
    assert lossbench(*call).code == 0
    wait_until(lambda: steps.exists() and len(steps.read_text().splitlines()) > 4)
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
    assert "Partitions: main. Change --slurm; nothing was started" in ended.err
    assert not list((tmp_path / "grid/jobs").glob("*.token"))
