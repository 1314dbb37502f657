"""What is written is whole or not there; a directory belongs to one run."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from lossbench import files
from lossbench.errors import ConfigError, StorageError
from lossbench.runs import layout


def test_a_file_is_replaced_whole_with_the_permissions_of_any_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "files.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"b": [None, "ü"]})
    assert json.loads(path.read_text()) == {"b": [None, "ü"]}
    assert list(path.parent.iterdir()) == [path]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("bug")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "weights"
    path.write_text("old")

    def write(file: IO[bytes]) -> None:
        file.write(b"half of it")
        raise error

    with pytest.raises(StorageError if isinstance(error, OSError) else type(error)) as caught:
        files.write_atomically(path, write)
    if isinstance(error, OSError):
        assert str(caught.value).startswith(f"cannot write {path}: the disk is full (No space left on device), ")
        assert "are free. Existing files are unchanged. Free some space; " in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_nan_is_refused_in_json_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "files.json"
    files.write_json(path, {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"auroc": float("nan")})
    assert json.loads(path.read_text()) == {}


def test_arrays_are_read_back_without_pickle(tmp_path: Path) -> None:
    arrays = {"scores": np.eye(2, dtype=np.float32), "ids": np.array(["a/1.png", "ü"])}
    files.write_arrays(tmp_path / "p.npz", arrays)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as read:
        assert set(read) == set(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(read[name], value)


def test_a_new_or_empty_directory_is_claimed(tmp_path: Path) -> None:
    for directory in (tmp_path / "a" / "b", tmp_path / "a" / "b"):
        assert layout.claim_directory(directory) == directory
        assert list(directory.iterdir()) == []


@pytest.mark.parametrize(("name", "what"), [(layout.CONFIG, "another run"), ("notes.txt", "other files")])
def test_a_directory_that_holds_something_is_refused(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"^--out .* contains {what}(: it is .*)?; pass a new directory"):
        layout.claim_directory(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"^cannot write --out .*: .*; pass another directory$"):
            layout.claim_directory(path)


def test_a_directory_without_permission_is_refused(unwritable: Path) -> None:
    for path in (unwritable, unwritable / "below"):
        with pytest.raises(ConfigError, match=r"cannot write .*: Permission denied"):
            layout.claim_directory(path)


def test_a_fresh_directory_is_the_first_free_number(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        directory = layout.fresh_directory("softmax + 0.1*center", "csv:/data/Faces 8/train.csv", 7, tmp_path)
        names.append(directory.name)
    assert names == [f"softmax-0.1-center-train-s7-{n}" for n in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("loss", "data", "name"),
    [
        ("triplet", "synthetic(imbalance=100)", "triplet-synthetic-s0-1"),
        ("../../etc", "folder:../..", "etc-s0-1"),
        ('pml/CircleLoss(m="0.4")', "digits", "pml-CircleLoss-m-0.4-digits-s0-1"),
        ("softmax + " * 50 + "softmax", "digits", None),
    ],
)
def test_a_fresh_directory_lies_below_runs_whatever_the_formula(
    tmp_path: Path, loss: str, data: str, name: str | None
) -> None:
    directory = layout.fresh_directory(loss, data, 0, tmp_path)
    assert directory.parent == tmp_path
    assert len(directory.name) < 100
    assert name is None or directory.name == name


def test_a_fresh_directory_that_can_t_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(ConfigError, match="runs: File exists; pass a directory with --out"):
        layout.fresh_directory("softmax", "digits", 0, tmp_path / "runs")
