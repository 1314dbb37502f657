"""`lossbench data inspect`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import affectnet_trees as trees
import pytest
from PIL import Image

from lossbench.data.affectnet.codes import CLASS_NAMES


def test_an_object_for_programs(lossbench: Any, faces: Path) -> None:
    done = lossbench("data", "inspect", f"csv:{faces}/train.csv", "--json")
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    assert content["splits"]["train"]["class_counts"] == {"amber": 24, "blue": 12, "cyan": 10}
    assert content["splits"]["train"]["imbalance_ratio"] == 2.4
    assert content["split_origin"].endswith("val.csv, next to train.csv")
    assert content["deep"] is None
    deep = json.loads(lossbench("data", "inspect", f"csv:{faces}/train.csv", "--json", "--deep").out)["deep"]
    assert (deep["images"], deep["unreadable"], deep["duplicates"]) == (58, [], [])
    assert deep["width"] == {"min": 32, "median": 32.0, "max": 32}


def test_a_report_for_people(lossbench: Any, tmp_path: Path) -> None:
    root = trees.full_with_traps(tmp_path / "tree")
    done = lossbench("data", "inspect", f"affectnet:{root}", "--deep", "--classes", 7)
    assert (done.code, done.err) == (0, "")
    for text in (
        "release     full-2017", "41 images in 7 classes, imbalance ratio 2.2", "the release's validation split",
        "55 opened; width 40 to 60 px, median 40",
        "duplicates  none", "unreadable  none", "dropped 3 contempt, 3 None, 2 Uncertain, 4 Non-Face, 1 of zero bytes",
        "a run would accept this",
    ):  # fmt: skip
        assert text in done.out, text
    assert re.search(r"^happiness +9 +22\.0% +2 +█{20}$", done.out, re.M)


def test_what_is_wrong_is_reported_and_ends_well(lossbench: Any, faces: Path, tmp_path: Path) -> None:
    rows = [f"{name}.png,{name}" for name in ("amber", "blue", "gone")]
    for n, name in enumerate(("amber", "blue", "gone")):
        Image.new("RGB", (8, 8), (n, 0, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "gone.png").write_bytes(b"\x89PNG")
    (tmp_path / "twin.png").write_bytes((tmp_path / "amber.png").read_bytes())
    (tmp_path / "my.csv").write_text("path,label\n" + "\n".join([*rows, "twin.png,blue"]))
    done = lossbench("data", "inspect", f"csv:{tmp_path}/my.csv", "--val", f"csv:{tmp_path}/my.csv"[4:], "--deep")
    assert done.code == 0
    for text in (
        "4 files in both splits", "a run would reject this", "4 file(s) are also in",
        "gone.png (train): truncated or damaged",
        "2 groups of equal files (6 images): 2 in both splits, 1 under different classes",
        "amber.png (train, amber) = twin.png (train, blue)",
    ):  # fmt: skip
        assert text in done.out, text


def test_a_contact_sheet(lossbench: Any, tmp_path: Path) -> None:
    done = lossbench("data", "inspect", "digits", "--sheet", tmp_path / "new" / "sheet.png", "--json")
    assert done.code == 0
    json.loads(done.out)
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert (sheet.format, sheet.width, sheet.height) == ("PNG", 1508, 1149)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["csv:gone.csv"], "gone.csv: no such manifest"),
        (["digits", "--sheet", "sheet.jpg"], "--sheet sheet.jpg: expected a name that ends in .png"),
        (["digits", "--sheet", "file/sheet.png"], "cannot write file/sheet.png: File exists"),
        (["digits", "--classes", "7"], "--classes does not apply to --data 'digits'"),
        (["digits", "--val", "x.csv"], "--val does not apply to --data 'digits'"),
        (["digits", "--min-images", "3"], "--min-images applies only to people as classes"),
        (["affectnet:."], ".: not a release of AffectNet. Looked for one of"),
        (["zebra"], "unknown source 'zebra'"),
    ],
)
def test_a_mistake_is_one_error(lossbench: Any, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").touch()
    done = lossbench("data", "inspect", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_people_as_classes_are_shown_from_both_ends(lossbench: Any, tmp_path: Path) -> None:
    for n in range(40):
        for image in range(4 + (n == 7)):
            trees.paint(tmp_path / f"person{n:02}" / f"{image}.png", n % 8, image + 100 * n, (4, 4))
    done = lossbench("data", "inspect", f"folder:{tmp_path}", "--label", "person")
    assert "121 images in 40 classes, imbalance ratio 1.3" in done.out
    assert "one image of each of 40 people, carved from training" in done.out
    assert done.out.index("person07") < done.out.index("person00") < done.out.index("…") < done.out.index("person39")
    assert "person20" not in done.out


# --- runs on it ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "release", "options", "classes"),
    [
        (trees.full_with_traps, "full-2017", [], 8),
        (trees.mini, "affectnet8-2021", ["--classes", 7], 7),
        (trees.plus, "plus-2024", ["--select"], 8),
        (trees.class_folders, "class-folders", ["--workers", 2], 8),
    ],
    ids=["full", "mini", "plus", "folders"],
)
def test_a_layout_trains_and_predicts(
    lossbench: Any, tmp_path: Path, make: Any, release: str, options: list[object], classes: int
) -> None:
    root = make(tmp_path / "tree")
    if "--select" in options:  # which takes ten images of a class
        for n in range(4):
            trees.paint(root / f"human_annotated/train_set/images/{500 + n}.jpg", 1, n)
            annotation = root / f"human_annotated/train_set/annotations/{500 + n}.json"
            annotation.write_text(json.dumps({"human-label": 1, "soft-label": [], "subset": "Easy"}))
    done = lossbench(
        "run", "--loss", "weighted-cluster", "--data", f"affectnet:{root}", "--epochs", 1, "--image-size", 32,
        "--batch-size", 16, *options, "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["data"]["release"] == release
    assert record["data"]["class_names"] == list(CLASS_NAMES[:classes])
    assert record["data"]["test_counts"] == dict.fromkeys(CLASS_NAMES[:classes], 2)
    assert set(record["data"]["dropped"]) == {"train", "val"}
    assert record["data"]["split_origin"] in ("the release's validation split", "the copy's val/ folder")
    assert f"Published accuracies on AffectNet-{classes}, per cent" in done.out
    assert ("DAN   " in done.out, "POSTER++" in done.out) == (True, True)
    assert ("62.09" in done.out) == (classes == 8)
    assert ("65.69" in done.out) == ("center, ResNet-18" in done.out) == (classes == 7)
    assert "Not comparable with this run:" in done.out
    assert "no pretrained weights" in done.out
    assert "images of 32 px" in done.out
    assert ("the release is" in done.out) == (release != "full-2017")
    image = next(path for path in root.rglob("*.jpg") if path.stat().st_size)
    predicted = lossbench("predict", tmp_path / "run", image, "--json")
    assert predicted.code == 0, predicted.err
    assert list(json.loads(predicted.out)[0]["probabilities"]) == list(CLASS_NAMES[:classes])
    config = (tmp_path / "run/config.toml").read_text()
    assert ("classes = 7" in config) == (classes == 7)


@pytest.mark.slow
def test_people_are_trained_on_and_the_summary_is_short(lossbench: Any, tmp_path: Path) -> None:
    for n in range(34):
        for image in range(4):
            trees.paint(tmp_path / "people" / f"p{n:02}" / f"{image}.png", n % 8, image + 100 * n, (32, 32))
    options = ["--model", "test_resnet", "--image-size", 32, "--epochs", 1, "--batch-size", 17]
    done = lossbench(
        "run", "--loss", "softmax", "--data", f"folder:{tmp_path}/people", "--label", "person", "--min-images", 3,
        *options, "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert set(record["data"]["training_counts"].values()) == {3}
    assert set(record["data"]["test_counts"].values()) == {1}
    assert record["data"]["split_origin"] == "one image of each of 34 people, carved from training"
    assert record["metrics"]["mean_average_precision_at_r"] is None  # one image of each leaves none to find
    assert record["config"]["min_images"] == 3
    assert "published" not in done.out
    assert sum(line.strip().startswith("p") and "1 " in line for line in done.out.splitlines()) <= 24
    assert re.search(r"^ *…", done.out, re.M)


@pytest.mark.slow
def test_annotations_without_an_image_stop_a_run_unless_they_may_be_skipped(lossbench: Any, tmp_path: Path) -> None:
    root = trees.mini(tmp_path / "tree")
    (root / "train_set/images/0.jpg").unlink()
    options = ["run", "--loss", "softmax", "--data", f"affectnet:{root}", "--epochs", 1, "--out", tmp_path / "run"]
    done = lossbench(*options)
    assert done.code == 2
    assert "Cannot read 1 image(s):" in done.err
    assert "0.jpg: no such file" in done.err
    assert not (tmp_path / "run").exists()
    done = lossbench(*options, "--skip-unreadable")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["data"]["skipped_unreadable"] == ["train_set/images/0.jpg"]
