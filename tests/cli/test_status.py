"""`lossbench compare --status` and `--executor`: from the files of a grid, without training."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossbench.discovery import Plugin
from lossbench.harness.grid import executors
from lossbench.harness.grid.executors import Order, Submitted
from lossbench.runs.cells import Cell
from lossbench.runs.grid_file import GridCell, GridFile, write_grid_file
from lossbench.runs.grid_status import read_status
from lossbench.runs.lock import locked
from lossbench.runs.options import RunConfig

ROW = {"epoch": 1, "loss": 0.5, "seconds": 2.0, "images_per_second": 48.0}


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the lock of a run in another process."""
    pid = os.fork()
    if pid == 0:
        with locked(directory):
            (directory / "held").touch()
            signal.pause()
    while not (directory / "held").exists():
        time.sleep(0.01)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)  # leaves the lock file
        os.waitpid(pid, 0)


def make_grid(out: Path, seeds: int = 6) -> list[Path]:
    """The directory of a comparison of two losses; returns the places of its cells."""
    names = [(loss, seed, f"{loss}-natural-s{seed}-0") for seed in range(seeds) for loss in ("softmax", "center")]
    cells = tuple(GridCell(loss=loss, sampler="natural", seed=seed, name=name) for loss, seed, name in names)
    write_grid_file(
        out, GridFile(losses=("softmax", "center"), samplers=("natural",), seeds=tuple(range(seeds)), cells=cells)
    )
    return [out / "cells" / cell.name for cell in cells]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_status_of_a_grid_is_told_from_its_files(lossbench: Any, tmp_path: Path) -> None:
    places = make_grid(tmp_path / "grid")
    done, failed, diverged, running, interrupted, killed = places[:6]
    for place in (done, failed, diverged, running, interrupted, killed):
        place.mkdir(parents=True)
    (done / "record.json").write_text("{}")
    (failed / "failure.json").write_text(json.dumps({"status": "failed", "message": "the disk is full"}))
    (diverged / "failure.json").write_text(json.dumps({"status": "diverged", "message": "training stopped at step 3"}))
    for place in (running, interrupted):
        (place / "config.toml").write_text("epochs = 5")
        (place / "history.jsonl").write_text(json.dumps(ROW | {"epoch": 0}) + "\n" + json.dumps(ROW) + "\n")
        (place / "checkpoint/step-000000012").mkdir(parents=True)
    (killed / ".lock").write_text("process 1 on nowhere")  # as SIGKILL leaves it, before the first checkpoint
    with held(running):
        shown = lossbench("compare", "--status", tmp_path / "grid")
        told = json.loads(lossbench("compare", "--status", tmp_path / "grid", "--json").out)
    assert shown.code == 0, shown.err
    assert "12 cells in" in shown.out
    assert "8 waiting, 1 running, 1 done, 1 failed, 1 diverged" in shown.out
    assert "the disk is full" in shown.out
    assert told["counts"] == {"waiting": 8, "running": 1, "done": 1, "failed": 1, "diverged": 1}
    cells = {cell["name"]: cell for cell in told["cells"]}
    found = cells[running.name]
    assert (found["epoch"], found["epochs"], found["images_per_second"]) == (2, 5, 48.0)
    assert found["node"] == os.uname().nodename
    assert (cells[interrupted.name]["state"], cells[interrupted.name]["epoch"]) == ("waiting", 2)
    assert cells[killed.name]["state"] == "waiting"
    assert cells[diverged.name]["message"] == "training stopped at step 3"
    # The process was killed, and its lock file is still there.
    assert read_status(tmp_path / "grid").counts["running"] == 0


def test_the_status_of_something_else_is_an_error(lossbench: Any, tmp_path: Path) -> None:
    ended = lossbench("compare", "--status", tmp_path)
    assert ended.code == 2
    assert "expected the directory of a comparison, which has a compare.json; it is an empty directory" in ended.err


@pytest.mark.long
def test_the_status_of_ten_thousand_cells_takes_less_than_two_seconds(lossbench: Any, tmp_path: Path) -> None:
    for number, place in enumerate(make_grid(tmp_path, seeds=5000)):
        if number < 9000:
            place.mkdir(parents=True)
            (place / "record.json").touch()
    began = time.perf_counter()
    shown = lossbench("compare", "--status", tmp_path)
    assert "1,000 waiting, 9,000 done" in shown.out
    assert time.perf_counter() - began < 2


# --- executors -------------------------------------------------------------------------------------------------------

ASKED = ("compare", "--losses", "softmax", "--seeds", 1, "--data", "synthetic(images=96)", "--out", "grid")


def submit(order: Order) -> None:
    """An executor of a plugin that does not wait."""
    assert [cell.loss for cell in order.cells] == ["softmax"]
    assert (order.jobs, dict(order.options)) == (7, {"queue": "short"})
    raise Submitted("submitted to the queue short")


def test_an_executor_of_a_plugin_is_called_with_its_options(lossbench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("batch", f"{__name__}:submit", "lossbench.executors")
    monkeypatch.setattr(EntryPoint, "load", lambda self: submit)
    offered = Plugin("batch", "batch-for-lossbench", "1.0", (), point)
    monkeypatch.setattr(executors, "plugins", lambda group: (offered,) if group == "lossbench.executors" else ())
    ended = lossbench(*ASKED, "--executor", "batch", "--executor-options", "queue=short", "--jobs", 7)
    assert (ended.code, ended.out) == (0, "")
    assert "submitted to the queue short" in ended.err
    assert Path("grid/compare.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--executor", "locale"), "--executor locale: unknown. Did you mean 'local'?"),
        (("--executor-options", "partition"), "'partition': expected NAME=VALUE, such as partition=gpu"),
        (("--executor-options", "a=1 a=2"), "--executor-options: a is given twice"),
        (("--executor-options", "time=5"), "--executor local has no options, got time"),
    ],
)
def test_a_wrong_executor_is_one_error(lossbench: Any, arguments: tuple[str, ...], message: str) -> None:
    ended = lossbench(*ASKED, *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert not Path("grid/cells").exists()


def test_a_cell_that_failed_in_a_submission_is_not_run_again_in_it(tmp_path: Path) -> None:
    from lossbench.runs.cells import settled, write_failure

    config = RunConfig(loss="softmax")
    place = Cell(loss="softmax", config=config, matters={}).place(tmp_path)
    place.parent.mkdir()
    write_failure(place, "failed", "the disk is full", config, "first")
    assert settled(place, "first") == ("failed", "the disk is full")
    assert settled(place, "second") is None
    assert settled(place) is None
