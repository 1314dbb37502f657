"""RAF-DB basic, on files made here: labels, splits, missing images, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.data.inspect import inspect_splits
from lossbench.data.sources import open_data
from lossbench.errors import DataError

CODES = {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}


def rafdb(root: Path, lines: list[str] | None = None) -> Path:
    """The published layout: a list file, and aligned images of 100 px."""
    made = [(f"{part}_{n:0{5 if part == 'train' else 4}}", 1 + n % 7) for part, size in (("train", 21), ("test", 14))
            for n in range(1, size + 1)]  # fmt: skip
    (root / "EmoLabel").mkdir(parents=True)
    (root / "Image/aligned").mkdir(parents=True)
    text = lines or [f"{name}.jpg {code}" for name, code in made]
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(text) + "\n")
    for name, code in made:
        pixels = np.full((100, 100, 3), 30 * code, dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"Image/aligned/{name}_aligned.jpg")
    return root


@pytest.mark.parametrize("inside", ["", "basic"])
def test_labels_and_splits_are_those_of_the_list(inside: str, tmp_path: Path) -> None:
    rafdb(tmp_path / inside)
    splits = open_data(f"rafdb:{tmp_path}")
    assert splits.train.class_names == ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
    assert splits.train.class_counts == (3,) * 7
    assert splits.test.class_counts == (2,) * 7
    assert splits.origin == "test images of RAF-DB"
    for row, name in enumerate(splits.train.sample_ids):
        code = 1 + int(name[6:11]) % 7
        assert splits.train.class_names[splits.train.targets[row]] == CODES[code]
        assert abs(splits.train.read(row).getpixel((50, 50))[0] - 30 * code) < 4  # type: ignore[index]
    assert inspect_splits(splits, "rafdb:x")["release"] == "rafdb-basic"


def test_missing_repeated_and_empty_images_are_counted(tmp_path: Path) -> None:
    root = rafdb(tmp_path)
    with (root / "EmoLabel/list_patition_label.txt").open("a") as file:
        file.write("train_00001.jpg 2\n")
    (root / "Image/aligned/train_00002_aligned.jpg").unlink()
    (root / "Image/aligned/train_00003_aligned.jpg").write_bytes(b"")
    splits = open_data(f"rafdb:{root}")
    assert len(splits.train) == 20
    assert "train: 1 line(s) of an image that is listed twice, dropped" in splits.notes
    assert "train: 21 lines, 1 images of zero bytes dropped" in splits.notes
    assert any("1 line(s) without an image, such as train_00002.jpg" in note for note in splits.notes)
    assert splits.train.details["dropped"] == {"train": {"of zero bytes": 1}, "test": {}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00001.jpg 8", "line 1: train_00001.jpg: label '8', expected 1 to 7"),
        ("train_00001.jpg", "line 1: train_00001.jpg: label '', expected 1 to 7"),
        ("photo.jpg 3", "line 1: 'photo.jpg', expected train_<n>.jpg or test_<n>.jpg"),
        ("train_../../x.jpg 3", "line 1: 'train_../../x.jpg', expected train_<n>.jpg"),
    ],
)
def test_invalid_lines_are_one_error(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        open_data(f"rafdb:{rafdb(tmp_path, [line])}")
    assert message in str(error.value)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no list_patition_label.txt; expected EmoLabel/"):
        open_data(f"rafdb:{tmp_path}")
    with pytest.raises(DataError, match="no such folder; expected EmoLabel/"):
        open_data(f"rafdb:{tmp_path / 'gone'}")
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel/list_patition_label.txt").write_text("train_00001.jpg 1\n")
    with pytest.raises(DataError, match="no folder of aligned images; expected EmoLabel/"):
        open_data(f"rafdb:{tmp_path}")
    with pytest.raises(DataError, match="--classes does not apply to --data 'rafdb:"):
        open_data(f"rafdb:{tmp_path}", classes=7)
