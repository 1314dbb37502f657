"""Class folders, with and without splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbench.data.folder import read_folder
from lossbench.errors import DataError


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"not decoded here")
    return root


def message(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_folder(root)
    return str(caught.value)


def test_class_folders_come_sorted(tmp_path: Path) -> None:
    manifest = read_folder(make(tmp_path, "dog/b.JPG", "dog/a.png", "cat/z.webp"))
    assert manifest.ids == ["cat/z.webp", "dog/a.png", "dog/b.JPG"]
    assert manifest.files[0] == tmp_path.resolve() / "cat/z.webp"
    assert manifest.labels == ["cat", "dog", "dog"]
    assert manifest.splits is None
    assert manifest.notes == ()


@pytest.mark.parametrize(("name", "split"), [("val", "val"), ("valid", "val"), ("validation", "val"), ("test", "test")])
def test_subfolders_are_splits(tmp_path: Path, name: str, split: str) -> None:
    manifest = read_folder(make(tmp_path, "train/cat/a.png", "train/dog/a.png", f"{name}/cat/b.png"))
    assert sorted(zip(manifest.ids, manifest.splits or (), strict=True)) == sorted(
        [("train/cat/a.png", "train"), ("train/dog/a.png", "train"), (f"{name}/cat/b.png", split)]
    )


def test_splits_may_be_capitalised(tmp_path: Path) -> None:
    manifest = read_folder(make(tmp_path, "Train/cat/a.png", "Val/cat/b.png"))
    assert sorted(manifest.splits or ()) == ["train", "val"]
    assert manifest.labels == ["cat", "cat"]


def test_training_alone_has_no_splits(tmp_path: Path) -> None:
    manifest = read_folder(make(tmp_path, "train/cat/a.png", "train/dog/a.png"))
    assert manifest.splits is None
    assert manifest.labels == ["cat", "dog"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert read_folder(make(tmp_path, "train/a.png", "bus/a.png", "test/a.png")).labels == ["bus", "test", "train"]


def test_what_is_ignored_is_counted_and_hidden_files_are_not(tmp_path: Path) -> None:
    make(tmp_path, "cat/a.png", "cat/Thumbs.db", "cat/notes.txt", "cat/more.TXT", "cat/._a.png", "cat/deep/b.png")
    manifest = read_folder(make(tmp_path, "dog/a.png", "dog/README", "labels.json", ".git/x.png"))
    assert manifest.ids == ["cat/a.png", "cat/deep/b.png", "dog/a.png"]
    assert manifest.notes == (
        f"{tmp_path}: ignored 1 x .db, 2 x .txt, 1 x files outside class folders, 1 x no extension",
    )


def test_other_folders_beside_train_are_noted(tmp_path: Path) -> None:
    manifest = read_folder(make(tmp_path, "train/cat/a.png", "val/cat/b.png", "extra/cat/c.png"))
    assert len(manifest) == 2
    assert manifest.notes == (f"{tmp_path}: ignored 1 x folder extra/ with 1 image(s)",)


def test_a_dead_link_is_kept_to_be_reported(tmp_path: Path) -> None:
    make(tmp_path, "cat/a.png", "dog/a.png")
    (tmp_path / "dog/b.png").symlink_to(tmp_path / "gone.png")
    assert "dog/b.png" in read_folder(tmp_path).ids


def test_errors(tmp_path: Path) -> None:
    layouts = "expected DIR/<class>/<image> or DIR/{train,val}/<class>/<image>"
    assert message(tmp_path / "gone") == f"{tmp_path / 'gone'}: no such folder; {layouts}"
    csv = make(tmp_path, "my.csv") / "my.csv"
    assert "is a file; expected a folder with DIR/<class>/<image>" in message(csv)
    assert message(csv).endswith(f"Did you mean 'csv:{csv}'?")
    flat = make(tmp_path / "flat", "a.png", "b.png")
    assert message(flat).startswith(f"{flat}: contains no class folders; {layouts}. Its 2 image(s) have no labels: ")
    empty = make(tmp_path / "empty", "cat/a.png", "dog/a.txt")
    assert "no images in the class folder(s) dog (1 x .txt); add images or remove the folder(s)" in message(empty)
    twice = make(tmp_path / "twice", "train/cat/a.png", "val/cat/a.png", "valid/cat/a.png")
    assert message(twice) == f"{twice}: val/ and valid/ mean the same split; remove or merge one"
    half = make(tmp_path / "half", "train/cat/a.png", "val/a.png")
    assert message(half).startswith(f"{half / 'val'}: contains no class folders; {layouts}. Its 1 image(s) have no ")
    assert message(half).endswith(f"to carve the test split from training, pass --data folder:{half / 'train'}")


@pytest.mark.parametrize("files", [("images/train/cat/a.png", "images/train/dog/b.png"),
                                   ("images/train/cat/a.png", "images/val/cat/b.png")])  # fmt: skip
def test_an_empty_folder_of_labels_beside_the_images_is_no_second_class(tmp_path: Path, files: tuple[str, ...]) -> None:
    make(tmp_path, *files)
    (tmp_path / "labels").mkdir()
    assert message(tmp_path).endswith(f"Did you mean 'folder:{tmp_path}/images'?")
    assert f"{tmp_path}: contains images only in the folder images/" in message(tmp_path)
    assert read_folder(tmp_path / "images").splits is not None or "val" not in files[1]
