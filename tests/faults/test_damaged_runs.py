"""Files of runs and comparisons that are damaged or made by a stranger: one error or one damaged row, at once."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.corrupt import corrupt, restore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_records import make_records
from rich.console import Console

from lossbench import load_run
from lossbench.errors import LossbenchError, ModelError, RecordError
from lossbench.report.terminal.comparison import comparison_summary
from lossbench.runs.finished_run import read_run
from lossbench.runs.history import read_history
from lossbench.runs.predictions import read_predictions
from lossbench.verdict.judge import judge
from lossbench.verdict.records import read_records

# 250 of a run and 250 of a comparison in the suite; the profile "chaos" asks for 10,000.
MANY = settings(
    max_examples=max(250, settings().max_examples), deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=settings().max_examples < 500,
)  # fmt: skip
_SECONDS, _MOST_BYTES = 20, 2**30


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small comparison; a test that changes it puts it back."""
    losses = {"softmax": 0.6, "center": 0.6, "softmax #2": 0.6}
    return make_records(tmp_path_factory.mktemp("grid") / "grid", losses, seeds=2, images=24, embedding_dim=4)


@pytest.fixture(scope="module")
def tiny_grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two runs; a test that changes it puts it back."""
    losses = {"softmax": 0.6, "center": 0.6}
    return make_records(tmp_path_factory.mktemp("tiny") / "grid", losses, seeds=1, images=24, embedding_dim=4)


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def files_of(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))


@pytest.mark.slow
@MANY
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.long
def test_a_comparison_with_any_file_corrupted_is_read_or_refused(tiny_grid: Path, seed: int) -> None:
    files = files_of(tiny_grid)
    file = files[seed % len(files)] if seed % 3 else tiny_grid / "compare.json"
    content = file.read_bytes()
    began, before = time.monotonic(), peak_bytes()
    try:
        corrupt(file, seed)
        with contextlib.suppress(LossbenchError):
            records = read_records(tiny_grid)
            assert len(records.runs) + len(records.problems) >= 1
            if seed % 50 == 0:
                comparison_summary(judge(records))
    finally:
        restore(file, content)
    assert time.monotonic() - began < _SECONDS
    assert peak_bytes() - before < _MOST_BYTES


@pytest.mark.slow
@MANY
@given(seed=st.integers(0, 2**32 - 1))
def test_a_finished_run_with_any_file_corrupted_is_read_or_refused(finished_run: Path, seed: int) -> None:
    files = files_of(finished_run)
    file = files[seed % len(files)] if seed % 2 else finished_run / "record.json"
    content = file.read_bytes()
    began, before = time.monotonic(), peak_bytes()
    try:
        corrupt(file, seed)
        with contextlib.suppress(LossbenchError):
            reader = load_run if seed % 10 == 0 else read_run  # `load_run` builds the model
            record = reader(finished_run).record
            read_history(finished_run)
            read_predictions(finished_run, record, embeddings=True)
    finally:
        restore(file, content)
    assert time.monotonic() - began < _SECONDS
    assert peak_bytes() - before < _MOST_BYTES


# --- named faults of a comparison ------------------------------------------------------------------------------------


@pytest.fixture
def copy(grid: Path, tmp_path: Path) -> Path:
    """A comparison to corrupt."""
    return Path(shutil.copytree(grid, tmp_path / "grid"))


def cell(grid: Path) -> Path:
    return grid / "cells" / "center-natural-s1"


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Replace a file of the cell by what `make` puts in its place."""

    def change(grid: Path) -> None:
        (cell(grid) / name).unlink()
        make(cell(grid) / name)

    return change


def linked(grid: Path) -> None:
    cell(grid).rename(grid / "elsewhere")
    cell(grid).symlink_to(grid / "elsewhere")


def a_file(grid: Path) -> None:
    shutil.rmtree(cell(grid))
    cell(grid).touch()


def an_unreadable_reason(grid: Path) -> None:
    (cell(grid) / "record.json").unlink()
    os.mkfifo(cell(grid) / "failure.json")


def edited(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(grid: Path) -> None:
        content = json.loads((cell(grid) / name).read_text())
        change(content)
        (cell(grid) / name).write_text(json.dumps(content))

    return apply


FILES = ("record.json", "history.jsonl", "predictions.npz")
ROWS: dict[str, tuple[Callable[[Path], object], str]] = {
    **{f"{name} is a pipe": (replaced(name, os.mkfifo), "is not a regular file") for name in FILES},
    **{
        f"{name} is a link": (replaced(name, lambda path: path.symlink_to("/dev/zero")), "is a symbolic link")
        for name in FILES
    },
    **{
        f"{name} is a directory": (replaced(name, lambda path: path.mkdir()), "is not a regular file")
        for name in FILES
    },
    "the cell is a link": (linked, "is a symbolic link"),
    "the cell is a file": (a_file, "is not a directory"),
    "the reason is a pipe": (an_unreadable_reason, "the reason cannot be read: "),
    "a negative count": (
        edited("record.json", lambda r: r["data"]["training_counts"].update(happiness=-1)),
        "data.training_counts.happiness: expected a number of at least 1, got -1",
    ),
    "a huge epoch": (edited("record.json", lambda r: r.update(selected_epoch=10**17)), "selected_epoch: expected"),
    "text for seconds": (
        edited("record.json", lambda r: r["timing"].update(train_seconds="40")),
        "timing.train_seconds: expected a number, got '40'",
    ),
    "other classes": (
        edited("record.json", lambda r: r["data"].update(class_names=["a", "b"])),
        "training_counts must have one count for each of class_names",
    ),
    "another run's record": (edited("record.json", lambda r: r.update(seed=7)), "belongs to another run"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), ROWS.values(), ids=ROWS)
def test_a_damaged_run_is_a_row_and_the_others_are_compared(
    copy: Path, change: Callable[[Path], object], message: str
) -> None:
    change(copy)
    began = time.monotonic()
    records = read_records(copy)
    assert time.monotonic() - began < _SECONDS
    (problem,) = records.problems
    assert (problem.loss, problem.seed) == ("center", 1)
    assert message in problem.message
    assert len(records.runs) == 5


NAMES = ("../../x", "..", ".", "", "a/b", "/etc", "a\x00b", "x" * 300)


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_grid_names_directories_within_itself_alone(copy: Path, name: str) -> None:
    content = json.loads((copy / "compare.json").read_text())
    content["cells"][0]["name"] = name
    (copy / "compare.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"compare\.json is not the file of a comparison: cells\[0\]: name must be"):
        read_records(copy)


GRIDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
    "a directory": (lambda path: path.mkdir(), "is not a regular file"),
    "nested": (lambda path: path.write_text("[" * 10**6), "nests too deeply"),
    "a number without end": (lambda path: path.write_text(f'{{"schema_version": {"9" * 5000}}}'), "4300"),
    "not a number": (lambda path: path.write_text('{"schema_version": NaN}'), "the number NaN, which is not finite"),
    "a key twice": (lambda path: path.write_text('{"a": 1, "a": 2}'), "the key 'a' appears twice"),
    "a seed of another kind": (lambda path: path.write_text('{"schema_version": "2"}'), "schema_version: expected"),
    "values without end": (lambda path: path.write_text("[" + "[]," * 4_000_000 + "[]]"), "more than 4,000,000 values"),
    "not UTF-8": (lambda path: path.write_bytes(b'{"a": "\xff"}'), "is not UTF-8 text"),
}


@pytest.mark.parametrize(("make", "message"), GRIDS.values(), ids=GRIDS)
def test_a_corrupted_grid_file_is_one_error(copy: Path, make: Callable[[Path], object], message: str) -> None:
    (copy / "compare.json").unlink()
    make(copy / "compare.json")
    with pytest.raises(RecordError, match=r"compare\.json") as refused:
        read_records(copy)
    assert message in str(refused.value)


def test_a_single_run_whose_options_are_corrupted_is_a_row(copy: Path) -> None:
    runs = copy / "cells"
    for place, make in (("a", os.mkfifo), ("b", lambda path: path.symlink_to("/dev/zero"))):
        (runs / place).mkdir()
        make(runs / place / "config.toml")
    (runs / "c").mkdir()
    (runs / "c" / "config.toml").write_text("loss = 1\n")
    (runs / "d").symlink_to(runs / "center-natural-s1")
    for place in runs.glob("softmax-2*"):
        shutil.rmtree(place)  # the second copies, which single runs cannot tell apart
    records = read_records(runs)
    assert [problem.run for problem in records.problems] == ["a", "b", "c", "d"]
    assert [problem.status for problem in records.problems] == ["damaged"] * 4
    assert len(records.runs) == 4


def test_a_report_is_written_beside_damaged_runs(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ROWS["history.jsonl is a pipe"][0](copy)
    Console(width=200).print(comparison_summary(judge(read_records(copy))))
    assert "center, natural, seed 1" in capsys.readouterr().out


# --- named faults of a run -------------------------------------------------------------------------------------------


def test_weights_are_read_as_far_as_they_are_there(finished_run: Path, tmp_path: Path) -> None:
    run_directory = Path(shutil.copytree(finished_run, tmp_path / "run"))
    weights = run_directory / "checkpoint/weights.safetensors"
    with weights.open("r+b") as file:
        file.truncate(2**34)  # sparse: 16 GiB that nobody wrote
    began = time.monotonic()
    with pytest.raises(RecordError, match="is truncated or damaged: its tensors take"):
        load_run(run_directory)
    assert time.monotonic() - began < _SECONDS


def test_a_record_of_more_classes_than_its_weights_builds_nothing(finished_run: Path, tmp_path: Path) -> None:
    run_directory = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((run_directory / "record.json").read_text())
    record["model"]["embedding_dim"] = 2**20
    (run_directory / "record.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="does not fit its record: a head of shape"):
        load_run(run_directory)


def test_a_checkpoint_folder_that_is_a_link_is_refused(finished_run: Path, tmp_path: Path) -> None:
    run_directory = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (run_directory / "checkpoint").rename(tmp_path / "elsewhere")
    (run_directory / "checkpoint").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="checkpoint is a symbolic link"):
        load_run(run_directory)
