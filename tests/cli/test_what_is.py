"""Commands that are given a directory or a file of another kind say what it is, and how to use it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import lossbench.what_is as what_is_module
from lossbench.what_is import what_is

FINISHED = r"the directory of a finished run \(lossbench report \S*RUN\)"


@pytest.fixture(scope="module")
def places(lossbench: Callable[..., Any], faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RUN, UNFINISHED, RUNS/a/x, IMAGES, EMPTY; don't change them."""
    root = tmp_path_factory.mktemp("places")
    done = lossbench(
        "run", "--loss", "softmax", "--data", f"csv:{faces}/train.csv", "--model", "test_efficientnet",
        "--image-size", 32, "--epochs", 1, "--batch-size", 46, "--device", "cpu", "--out", root / "RUN",
    )  # fmt: skip
    assert done.code == 0, done.err
    shutil.copytree(root / "RUN", root / "UNFINISHED")
    (root / "UNFINISHED/record.json").unlink()
    shutil.copytree(root / "RUN", root / "RUNS/a/x")
    for label in ("cat", "dog"):
        (root / "IMAGES" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8)).save(root / "IMAGES" / label / f"{number}.png")
    for label in ("a-class-with-a-long-name", "another-class-with-a-name"):
        shutil.copytree(root / "IMAGES/cat", root / "LONG" / label)
    (root / "EMPTY").mkdir()
    return root


CASES: list[tuple[list[str], str]] = [
    (["report", "UNFINISHED"], r"the directory of an unfinished run \(lossbench run --resume UNFINISHED\)"),
    (["report", "IMAGES"], r"a folder with images in its subfolders \(--data folder:IMAGES\)"),
    (["report", "EMPTY"], "it is an empty directory"),
    (["report", "RUN/record.json"], r"the record of a run \(lossbench report RUN\)"),
    (["report", "GONE"], "it is missing"),
    (["judge", "RUNS"], r"a directory of runs \(lossbench report RUNS\)"),
    (["judge", "IMAGES"], r"or directories of finished runs; it is a folder with images"),
    (["predict", "RUNS", "x.png"], r"RUNS holds no finished run: .* It is a directory of runs"),
    (["predict", "IMAGES", "x.png"], r"It is a folder with images in its subfolders \(--data folder:IMAGES\)"),
    (["predict", "RUN", "EMPTY"], "EMPTY: expected images; it is an empty directory"),
    (["predict", "RUN", "RUNS"], r"RUNS: expected images; it is a directory of runs \(lossbench report RUNS\)"),
    (["evaluate", "UNFINISHED", "--data", "folder:IMAGES", "--out", "o"], r"It is the directory of an unfinished run"),
    (["run", "--resume", "RUNS"], r"it is a directory of runs \(lossbench report RUNS\)"),
    (["data", "inspect", "RUN"], f"--data 'RUN': it is not data but {FINISHED}."),
    (["data", "inspect", "IMAGES"], "did you mean 'folder:IMAGES'"),
    (["data", "inspect", "folder:RUN"], f"expected a folder of images, .*; it is {FINISHED}"),
    (["data", "inspect", "csv:RUN"], f"is a folder; expected a CSV file. It is {FINISHED}"),
    (["data", "inspect", "folder:IMAGES", "--val", "RUN"], FINISHED),
    (["run", "--loss", "softmax", "--data", "folder:RUN"], FINISHED),
    (["run", "--loss", "softmax", "--weights", "run:IMAGES"], r"It is a folder with images"),
    (["run", "--loss", "softmax", "--weights", "run:RUNS"], r"It is a directory of runs"),
    (["run", "--loss", "softmax", "--config", "RUN"], FINISHED),
    (["run", "--loss", "softmax", "--data", "folder:IMAGES", "--out", "IMAGES"], "it is a folder with images"),
    (["compare", "--losses", "softmax", "--data", "folder:IMAGES", "--allow-missing-classes", "--out", "RUN"],
     FINISHED),
    (["weights", "inspect", "EMPTY"], "It is an empty directory"),
    (["verify", "RUN"], f"expected a certificate, .*; it is {FINISHED}"),
    (["data", "digests", "IMAGES", "new.csv"], r"expected a manifest \(CSV\); it is a folder with images"),
    (["replay", "RUN"], f"expected the bad-batch.safetensors of a stopped run; it is {FINISHED}"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_a_command_says_what_it_was_given(
    lossbench: Callable[..., Any],
    places: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(places)
    done = lossbench(*arguments)
    assert (done.code, done.out) == (2, ""), done.err
    assert re.search(said, done.err), done.err
    assert "Traceback" not in done.err


def test_a_single_run_is_reported(lossbench: Callable[..., Any], places: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(places / "RUN")
    for directory in (f"{places}/RUN", f"{places}/RUN/", f"{places}/RUNS", tmp_path / "link"):
        done = lossbench("report", directory, "--json")
        assert done.code == 0, done.err
        assert [entrant["loss"] for entrant in json.loads(done.out)["entrants"]] == ["softmax"]


def test_directories_of_runs_are_judged_as_tables_are(
    lossbench: Callable[..., Any], places: Path, tmp_path: Path
) -> None:
    record = json.loads((places / "RUN/record.json").read_text())
    for loss in ("softmax", "center"):
        for seed in range(2):
            shutil.copytree(places / "RUN", tmp_path / f"{loss}-{seed}")
            changed = record | {"seed": seed, "config": record["config"] | {"loss": loss}}
            (tmp_path / f"{loss}-{seed}/record.json").write_text(json.dumps(changed))
    done = lossbench("judge", *sorted(tmp_path.iterdir()), "--json")
    assert done.code == 0, done.err
    entrants = json.loads(done.out)["entrants"]
    assert {(entrant["loss"], *entrant["seeds"]) for entrant in entrants} == {("softmax", 0, 1), ("center", 0, 1)}
    for entrant in entrants:
        assert entrant["mean"] == pytest.approx(100 * record["metrics"]["balanced_accuracy"])


# Command -> what identifies its rows.
TABLES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "list": (["list"], ("softmax", "weighted-cluster", "softmax-focal")),
    "doctor": (["doctor"], ("torch",)),
    "inspect": (["data", "inspect", "folder:LONG"], ("a-class-with-a-long-name", "another-class-with-a-name")),
    "predict": (["predict", "RUN", "IMAGES/cat/0.png", "IMAGES/dog/1.png"], ("IMAGES/cat/0.png", "IMAGES/dog/1.png")),
    "weights": (["weights", "inspect", "RUN"], ("blocks", "conv_head", "skipped")),
    "report": (["report", "RUN"], ("amber", "blue", "cyan", "Krippendorff's alpha")),
    "resume": (["run", "--resume", "RUN"], ("amber", "blue", "cyan")),
}


@pytest.mark.parametrize("columns", [40, 80, 200, None], ids=["40", "80", "200", "pipe"])
@pytest.mark.parametrize("name", TABLES)
def test_what_identifies_a_row_is_never_cut(
    lossbench: Callable[..., Any], places: Path, monkeypatch: pytest.MonkeyPatch, name: str, columns: int | None
) -> None:
    arguments, rows = TABLES[name]
    monkeypatch.chdir(places)
    monkeypatch.delenv("COLUMNS", raising=False)
    done = lossbench(*arguments, columns=columns)
    assert done.code in (0, 1), done.err  # `doctor` may miss something
    assert all(row in done.out for row in rows), done.out
    for line in done.out.splitlines():
        assert len(line.rstrip()) <= (columns or 80) or line.startswith("record "), line


def test_tables_are_drawn_by_one_class_alone() -> None:
    package = Path(what_is_module.__file__).parent
    drawn = [file.name for file in package.rglob("*.py") if "rich.table" in file.read_text()]
    assert drawn == ["table.py"]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.xlsx", b"PK\x03\x04", "an Excel workbook"),
        ("a.zip", b"PK\x03\x04", "a ZIP archive; unpack it first"),
        ("a.csv", b"PK\x03\x04\0", "a ZIP archive; unpack it first"),
        ("a.tgz", b"\x1f\x8b\x08", "a gzip archive; unpack it first"),
        ("a.tar", b"a".ljust(257, b"\0") + b"ustar", "a tar archive; unpack it first"),
        ("a.parquet", b"PAR1", "a Parquet file"),
        ("a.html", b"<!DOCTYPE html>", "a web page, perhaps a download that required a login"),
        ("a.json", b' {"a": 1}', "a JSON file"),
        ("a.dat", b"\0\1", "a binary file"),
        ("a.txt", b"hello", "a text file"),
        ("a.csv", b"", "a file of zero bytes"),
    ],
)
def test_files_are_told_apart_by_content(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert what_is(tmp_path / name) == kind
