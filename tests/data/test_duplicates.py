"""Images with equal pixels, and files that are recognized by content wherever a job copies them."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lossbench.data import preflight
from lossbench.data.decode import check_file
from lossbench.data.decoder_warnings import keep_decoder_warnings
from lossbench.data.examine_images import inspect_images
from lossbench.data.readable_cache import BY_CONTENT, ReadableFiles
from lossbench.data.sources import open_unchecked
from lossbench.errors import DataError
from lossbench.harness.readable_splits import read_splits
from lossbench.harness.reporter import SilentReporter
from lossbench.report.terminal.data import _deep
from lossbench.runs.options import RunConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`train` and `val` with six different images of each of two classes."""
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(6):
                pixels = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{number}.png")
    return tmp_path


def read(folder: Path, **options: Any) -> tuple[Any, str]:
    """Return the splits and their notes as one text."""
    config = RunConfig(loss="softmax", data=f"folder:{folder}", **options)
    splits, _ = read_splits(config, SilentReporter())
    return splits, "\n".join(splits.notes)


def copied(folder: Path, source: str, target: str) -> None:
    """Save the pixels of an image again, as another file."""
    Image.open(folder / source).save(folder / target)


def test_equal_pixels_within_training_are_dropped_and_counted(folder: Path) -> None:
    copied(folder, "train/cat/0.png", "train/cat/x.bmp")
    copied(folder, "train/cat/0.png", "train/cat/y.tif")
    copied(folder, "train/dog/3.png", "train/dog/x.bmp")
    splits, notes = read(folder)
    assert (len(splits.train), notes) == (15, "")
    for _ in range(2):  # decoded, then remembered
        splits, notes = read(folder, drop_duplicates=True)
        assert notes == "--drop-duplicates: 3 training image(s) that repeat another one are dropped"
        assert splits.train.class_counts == (6, 6)
        assert "train/cat/0.png" in splits.train.sample_ids
        assert splits.train.read(0).size == (6, 6)
    assert len(splits.test) == 12


def test_equal_images_of_different_classes_are_kept_and_named(folder: Path) -> None:
    copied(folder, "train/cat/0.png", "train/dog/x.bmp")
    copied(folder, "train/cat/0.png", "train/dog/y.bmp")
    splits, notes = read(folder, drop_duplicates=True)
    assert splits.train.class_counts == (6, 7)
    assert "1 training image(s) that repeat another one are dropped" in notes
    assert "1 group(s) of equal training images have different classes and are kept, such as train/cat/0.png" in notes


def test_equal_pixels_across_splits_are_always_counted(folder: Path) -> None:
    copied(folder, "train/cat/0.png", "val/cat/x.bmp")
    copied(folder, "train/cat/1.png", "val/dog/x.bmp")
    for options in ({}, {"drop_duplicates": True}, {"recognize_files": "content"}):
        splits, notes = read(folder, **options)
        assert "2 test image(s) have the same pixels as a training image, such as val/cat/x.bmp and " in notes
        assert len(splits.test) == 14


def test_an_image_of_another_shape_is_another_image(tmp_path: Path) -> None:
    for size in ((4, 9), (9, 4)):
        Image.new("RGB", size).save(tmp_path / f"{size[0]}.png")
    assert check_file(tmp_path / "4.png").pixels != check_file(tmp_path / "9.png").pixels


def test_data_without_files_has_no_duplicates_to_drop() -> None:
    config = RunConfig(loss="softmax", data="synthetic(images=100,test_images_per_class=2)", drop_duplicates=True)
    with pytest.raises(DataError, match="--drop-duplicates applies to images in files, not to --data 'synthetic"):
        read_splits(config, SilentReporter())


def test_a_copy_in_another_folder_is_recognized_by_content(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    real = preflight.check_file
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(preflight, "check_file", lambda path, box: (decoded.append(path), real(path, box))[1])
    read(folder, recognize_files="content")
    assert len(decoded) == 24
    for number in range(2):  # each job copies the data into a folder of its own, with times of its own
        scratch = tmp_path_factory.mktemp("job") / "data"
        shutil.copytree(folder, scratch, copy_function=shutil.copyfile)
        decoded.clear()
        if number == 1:
            (scratch / "train/cat/0.png").write_bytes((scratch / "train/cat/1.png").read_bytes()[:60])
            with pytest.raises(DataError, match=r"Cannot read 1 image\(s\)"):
                read(scratch, recognize_files="content")
        else:
            read(scratch, recognize_files="content")
        assert len(decoded) == number
    decoded.clear()
    read(scratch.with_name("data"), recognize_files="path", skip_unreadable=True)
    assert len(decoded) == 24  # by path, a copy is new


def test_what_cannot_be_read_has_no_key(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    known = ReadableFiles(tmp_path / "cache", recognize=BY_CONTENT)
    for name in ("pipe.png", "gone.png", "."):
        assert known.key(tmp_path / name, None) is None
    assert check_file(tmp_path / "pipe.png").reason == "not a regular file"
    assert check_file(tmp_path).reason == "is a directory"


def test_inspection_finds_equal_pixels_and_warnings_as_a_run_does(tmp_path: Path) -> None:
    for n, label in enumerate(("cat", "dog") * 2):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (n, 0, 0)).save(tmp_path / label / f"{n}.png")
    with Image.open(tmp_path / "cat/0.png") as picture:
        picture.save(tmp_path / "cat/again.bmp")
        cut = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01"
        picture.save(tmp_path / "dog/odd.jpg", exif=cut, quality=1)
    with warnings.catch_warnings():
        keep_decoder_warnings()  # pytest records warnings in its place
        found = inspect_images(open_unchecked(f"folder:{tmp_path}"))
    assert [sorted(image["image"] for image in group) for group in found["duplicates"]] == [
        ["cat/0.png", "cat/again.bmp"]
    ]
    assert [image["image"] for image in found["warned"]] == ["dog/odd.jpg"]
    assert "of the decoder about 1 readable image(s)" in _deep(found).plain
