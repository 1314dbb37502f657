"""`compare --processes 2` with two real processes on the CPU: files, results, and what a kill costs."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from cli.conftest import elsewhere, lossbench

__all__ = ["elsewhere", "lossbench"]

pytestmark = pytest.mark.long

LOSS = f"{Path(__file__).parents[1] / 'engines' / 'slow_loss.py'}:Slow"
EPOCHS, STEPS, INTERVAL = 6, 3, 2
ASKED = (
    "compare", "--losses", f"softmax, {LOSS}", "--seeds", 1, "--data", "synthetic(images=96,test_images_per_class=4)",
    "--model", "test_vit", "--image-size", 32, "--epochs", EPOCHS, "--batch-size", 32, "--device", "cpu", "--json",
    "--checkpoint-every", INTERVAL, "--out",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(lossbench: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same grid by one process and by two a cell."""
    out = tmp_path_factory.mktemp("whole")
    for processes in (1, 2):
        ended = lossbench(*ASKED, out / str(processes), "--processes", processes)
        assert "entrants" in json.loads(ended.out), ended.err
    return {1: out / "1", 2: out / "2"}


def cells(grid: Path) -> dict[str, Path]:
    """The directories of cells by loss."""
    return {json.loads((place / "record.json").read_text())["formula"]: place for place in grid.glob("cells/[!.]*")}


def record(place: Path) -> Any:
    return json.loads((place / "record.json").read_text())


def test_the_files_are_those_of_one_process_and_the_record_says_two(whole: dict[int, Path]) -> None:
    alone, together = cells(whole[1]), cells(whole[2])
    assert alone.keys() == together.keys()
    for loss, place in together.items():
        assert sorted(p.name for p in place.rglob("*")) == sorted(p.name for p in alone[loss].rglob("*"))
        assert (record(place)["environment"]["processes"], record(place)["timing"]["resumed"]) == (2, 0)
        assert record(alone[loss])["environment"]["processes"] == 1
        # A model without batch normalization, and a mean over rows: the same step up to the order of sums.
        one, two = (np.load(p / "predictions.npz")["test_scores"] for p in (alone[loss], place))
        np.testing.assert_allclose(two, one, atol=1e-4)


def ranks_below(process: psutil.Process) -> list[psutil.Process]:
    """The processes that train a cell together, first process first."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "lossbench.harness.grid.rank" in child.cmdline() and "RANK" in child.environ():
                found.append(child)
        except psutil.Error:
            continue
    return sorted(found, key=lambda child: child.environ()["RANK"])


def end_one(grid: Path, number: int, rank: int) -> threading.Thread:
    """Send a signal to one of the processes once the slow cell has a checkpoint."""

    def wait() -> None:
        while not list(grid.glob("cells/*Slow*/checkpoint/step-*")):
            time.sleep(0.05)
        os.kill(ranks_below(psutil.Process())[rank].pid, number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def lost_steps(steps: Path) -> int:
    """Steps that two processes trained again; each process tries one batch first, and so does the plan."""
    lines = steps.read_text().splitlines()
    return (len(lines) - len(set(lines)) - 2 * EPOCHS * STEPS) // 2


def test_a_cell_one_of_whose_processes_is_killed_continues(
    whole: dict[int, Path],
    lossbench: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Any,
) -> None:
    monkeypatch.setenv("STEP_FILE", str(tmp_path / "steps"))
    monkeypatch.setenv("STEP_SECONDS", "0.3")
    grid = tmp_path / "grid"
    thread = end_one(grid, signal.SIGKILL, 1)
    ended = lossbench(*ASKED, grid, "--processes", 2)
    thread.join()
    assert "entrants" in json.loads(ended.out), ended.err
    for loss, place in cells(grid).items():
        assert record(place)["weights_sha256"] == record(cells(whole[2])[loss])["weights_sha256"]
    slow = next(place for place in cells(grid).values() if "Slow" in place.name)
    lost = lost_steps(tmp_path / "steps")
    record_property("lost", f"{record(slow)['timing']['resumed']} continuations, {lost} steps trained again")
    assert record(slow)["timing"]["resumed"] == 1
    assert 0 <= lost <= INTERVAL + 1
