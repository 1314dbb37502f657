"""What is found in a data source, with and without opening its images, and how it looks on a contact sheet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import affectnet_trees as trees
import numpy as np
import pytest
from PIL import Image

from lossbench.data.contact_sheet import ROWS, contact_sheet
from lossbench.data.examine_images import inspect_images
from lossbench.data.inspect import inspect_splits
from lossbench.data.sources import Splits, open_unchecked
from lossbench.data.table import ImageTable


def opened(spec: str, **options: Any) -> Splits:
    return open_unchecked(
        spec, **{"val": None, "label": "label", "seed": 0, "classes": None, "min_images": None} | options
    )


def picture(path: Path, seed: int, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Six dogs and two cats of four people to train on, three images of other and known people to evaluate on."""
    rows = {"train": ["path,label,person"], "val": ["path,label,person"]}
    for n in range(8):
        picture(tmp_path / f"{n}.png", n, (8 + n, 6))
        rows["train"].append(f"{n}.png,{'cat' if n < 2 else 'dog'},p{n % 4}")
    for n, label in ((10, "cat"), (11, "dog"), (12, "dog")):
        picture(tmp_path / f"{n}.png", n)
        rows["val"].append(f"{n}.png,{label},p{n - 9}")
    for name, lines in rows.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    return tmp_path


def test_counts_people_and_imbalance(pets: Path) -> None:
    spec = f"csv:{pets}/train.csv"
    splits = opened(spec)
    content = inspect_splits(splits, spec)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["class_names"] == ["cat", "dog"]
    assert content["splits"]["train"] == {
        "images": 8, "class_counts": {"cat": 2, "dog": 6}, "imbalance_ratio": 3.0, "people": 4,
        "digest": splits.train.digest(),
    }  # fmt: skip
    assert content["splits"]["evaluation"]["imbalance_ratio"] == 2.0
    assert content["people_in_both"] == ["p1", "p2", "p3"]
    assert content["notes"] == [
        "3 person(s) are in both training and test, such as 'p1': results will be better than on new persons"
    ]
    assert (content["files_in_both"], content["problems"], content["release"]) == ([], [], None)


def test_what_a_run_would_refuse_is_a_finding_and_no_error(pets: Path) -> None:
    with (pets / "val.csv").open("a") as file:
        file.write("\n3.png,dog,p3\n4.png,zebra,p0")
    content = inspect_splits(opened(f"csv:{pets}/train.csv"), "x")
    (problem,) = content["problems"]
    assert "1 label(s) that do not occur in csv:" in problem
    assert content["files_in_both"] == [str(pets / "3.png"), str(pets / "4.png")]
    assert content["splits"]["evaluation"]["class_counts"] == {"cat": 1, "dog": 3, "zebra": 1}


def test_a_class_without_images_has_no_imbalance_ratio(pets: Path) -> None:
    (pets / "val.csv").write_text("path,label,person\n10.png,cat,q")
    content = inspect_splits(opened(f"csv:{pets}/train.csv"), "x")
    assert content["splits"]["evaluation"]["imbalance_ratio"] is None
    assert "no test image of dog" in content["problems"][0]


@pytest.mark.parametrize("threads", [1, 3])
def test_every_image_is_opened_once(pets: Path, threads: int) -> None:
    shutil.copy(pets / "0.png", pets / "10.png")  # across splits
    shutil.copy(pets / "5.png", pets / "1.png")  # of another class
    (pets / "7.png").write_bytes((pets / "7.png").read_bytes()[:40])
    (pets / "12.png").write_bytes(b"")
    told: list[tuple[int, int]] = []
    content = inspect_images(opened(f"csv:{pets}/train.csv"), threads, lambda done, total: told.append((done, total)))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert told == [(11, 11)]
    assert content["images"] == 11
    assert [(bad["image"], bad["split"]) for bad in content["unreadable"]] == [
        ("7.png", "train"),
        ("12.png", "evaluation"),
    ]
    assert content["unreadable"][1]["reason"] == "zero bytes"
    groups = [[(one["image"], one["split"], one["class"]) for one in group] for group in content["duplicates"]]
    assert groups == [
        [("0.png", "train", "cat"), ("10.png", "evaluation", "cat")],
        [("1.png", "train", "cat"), ("5.png", "train", "dog")],
    ]
    assert (content["duplicates_across_splits"], content["duplicates_of_other_class"]) == (1, 1)
    assert content["width"] == {"min": 8, "median": 11.0, "max": 14}  # 8 13 10 11 12 13 14 | 8 8
    assert content["height"] == {"min": 6, "median": 6.0, "max": 6}


def test_files_none_of_which_can_be_read_have_no_size(pets: Path) -> None:
    for path in pets.glob("*.png"):
        path.write_bytes(b"")
    content = inspect_images(opened(f"csv:{pets}/train.csv"))
    assert len(content["unreadable"]) == 11
    assert content["width"] is content["height"] is None
    assert content["duplicates"] == []


def test_drawn_images_are_compared_by_their_pixels() -> None:
    told: list[tuple[int, int]] = []
    content = inspect_images(opened("digits"), progress=lambda done, total: told.append((done, total)))
    assert content["images"] == 929
    assert content["unreadable"] == content["duplicates"] == []
    assert content["width"] == {"min": 8, "median": 8.0, "max": 8}
    assert told == [(256, 394), (394, 394), (256, 535), (512, 535), (535, 535)]


def test_boxes_beside_their_image_are_unreadable_and_sizes_are_of_whole_images(tmp_path: Path) -> None:
    images, training = trees.training_of(trees.full_with_traps(tmp_path))
    trees.paint(images / "7/z.jpg", 1, 8)
    trees.append(training, [trees.row("7/z.jpg", 1, (90, 90, 20, 20))])
    spec = f"affectnet:{tmp_path}"
    splits = opened(spec)
    content = inspect_splits(splits, spec)
    assert content["release"] == "full-2017"
    assert content["dropped"]["train"] == {"None": 3, "Uncertain": 2, "Non-Face": 4, "of zero bytes": 1}
    deep = inspect_images(splits)
    assert [bad["image"] for bad in deep["unreadable"]] == ["7/z.jpg"]
    assert deep["width"] == {"min": 40, "median": 40.0, "max": 60}
    assert deep["duplicates"] == []


# --- contact sheet ---------------------------------------------------------------------------------------------------


def test_the_sheet_shows_every_class_and_is_the_same_each_time(pets: Path) -> None:
    train = opened(f"csv:{pets}/train.csv").train
    sheet = contact_sheet(train, "pets", columns=4)
    assert sheet.size == (2 * 40 + 210 + 4 * 102 - 6, 40 + 55 + 2 * 102 - 6 + 40)
    assert contact_sheet(train, "pets", columns=4).tobytes() == sheet.tobytes()
    pixels = np.asarray(sheet).astype(int)
    tiles = [[pixels[95 + 102 * row :, 250 + 102 * column :][40:56, 40:56] for column in range(4)] for row in (0, 1)]
    spread = [[tile.std() > 5 for tile in row] for row in tiles]
    assert spread == [[True, True, False, False], [True] * 4]  # two cats, and four of six dogs
    assert (pixels[95:290, 0:40] == 255).all()  # the margin stays white


def test_an_image_that_can_t_be_read_is_a_crossed_square(pets: Path) -> None:
    for n in range(2):
        (pets / f"{n}.png").write_bytes(b"")
    pixels = np.asarray(contact_sheet(opened(f"csv:{pets}/train.csv").train, "pets", columns=2))
    tile = pixels[95:191, 250:346]
    assert set(map(tuple, tile.reshape(-1, 3).tolist())) == {(0xF2, 0xF2, 0xF4), (0x8A, 0x8A, 0x8E)}
    assert tile[10, 10].tolist() == tile[95 - 10, 10].tolist() == [0x8A, 0x8A, 0x8E]


def test_of_many_classes_the_most_frequent_are_shown_and_long_names_are_cut() -> None:
    targets = np.repeat(np.arange(60), np.arange(60) + 1)
    table = ImageTable(
        name="many",
        class_names=tuple(f"a person of a very long name indeed {n}" for n in range(60)),
        targets=targets,
        sample_ids=[str(row) for row in range(len(targets))],
        read=lambda row: Image.new("RGB", (4, 4), (int(targets[row]), 0, 0)),
    )
    sheet = contact_sheet(table, "x" * 500, columns=1)
    assert sheet.height == 40 + 55 + ROWS * 102 - 6 + 40
    pixels = np.asarray(sheet)
    assert pixels[95 + 48, 250 + 48].tolist() == [60 - ROWS, 0, 0]
    assert (pixels[95:, 232:250] == 255).all()  # names don't run into images
    assert (pixels[:, -30:] == 255).all()
