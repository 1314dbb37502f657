"""`lossbench predict` on files, folders, patterns, manifests and the faces of photographs."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_detector import installed_detectors, photograph, rendered
from PIL import Image

from lossbench.cli.predict import with_detector
from lossbench.data.crop_recipe import CropRecipe
from lossbench.faces.crop import crop_faces
from lossbench.faces.photographs import list_photographs
from lossbench.harness.run import run as train
from lossbench.runs.options import RunConfig

EXPRESSIONS = ("happiness", "sadness", "surprise")  # of rendered faces
RECIPE = CropRecipe(detector="bright", version="bright 1.0", margin=0.2, size=40, min_score=0.5)


@pytest.fixture(scope="module")
def trained(detector_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A run on the crops of photographs with rendered faces, and the photographs; do not change them."""
    root = tmp_path_factory.mktemp("trained")
    draw = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for label in EXPRESSIONS:
            for n in range(count):
                left, top, side = (int(value) for value in draw.integers((0, 0, 24), (80, 50, 40)))
                photograph(
                    root / "photos" / split / label / f"{n}.png", [(left, top, side)], tile=rendered(label, split, n)
                )
    with installed_detectors(detector_site):
        crop_faces(list_photographs(str(root / "photos")), root / "faces", RECIPE)
        config = RunConfig(
            loss="weighted-softmax", data=f"csv:{root}/faces/manifest.csv", image_size=32,
            epochs=1, batch_size=9, device="cpu",
        )  # fmt: skip
        yield train(config, root / "run").directory, root / "photos"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    """The run, and in the working directory `photos` and `faces`, which belong to it."""
    for name in ("photos", "faces"):
        os.symlink(trained[0].parent / name, tmp_path / name)
    return trained[0]


def rows_of(done: Any) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    rows: list[dict[str, Any]] = json.loads(done.out)
    return rows


def stored(run: Path) -> dict[str, np.ndarray]:
    """Path of a test crop -> its probabilities by the run's own evaluation."""
    with np.load(run / "predictions.npz") as arrays:
        scores = np.exp(arrays["test_scores"] - arrays["test_scores"].max(axis=1, keepdims=True))
        return dict(zip(arrays["test_sample_ids"].tolist(), scores / scores.sum(axis=1, keepdims=True), strict=True))


def test_the_recipe_is_recorded(run: Path) -> None:
    data = json.loads((run / "record.json").read_text())["data"]
    assert CropRecipe.of(data["crop"]) == RECIPE
    assert data["subject"] == "a face as lossbench data crop cuts it out"


def test_faces_of_photographs_are_predicted_as_the_run_saw_them(lossbench: Any, run: Path) -> None:
    rows = rows_of(lossbench("predict", run, "photos/val", "--detect", "--json"))
    known = stored(run)
    assert len(rows) == len(known) == 6
    for row in rows:
        expected = known[f"crops/{Path(row['path']).relative_to('photos')}.1.png"]
        assert list(row["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
        assert (row["face"], row["faces"], row["error"]) == (1, 1, None)
        assert len(row["box"]) == 4


def test_crops_are_predicted_without_a_detector(lossbench: Any, run: Path) -> None:
    done = lossbench("predict", run, "faces/crops/val", "--json")
    rows = rows_of(done)
    known = stored(run)
    for row in rows:
        expected = known[str(Path(row["path"]).relative_to("faces"))]
        assert list(row["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
        assert row["probability"] == max(row["probabilities"].values())
        assert row["probabilities"][row["class"]] == row["probability"]
        assert "box" not in row
    assert done.err.endswith("32 px or larger. Pass --detect to cut the faces out of photographs.\n")


def test_files_folders_patterns_and_manifests(lossbench: Any, run: Path) -> None:
    manifest = "faces/manifest.csv"
    with open(manifest, newline="") as file:
        listed = [f"faces/{row['path']}" for row in csv.DictReader(file)]
    shutil.copy("faces/crops/val/surprise/0.png.1.png", "own.png")
    Path("plain.csv").write_text("image,x\nown.png,1\n\nfaces/crops/val/surprise/0.png.1.png,1\ngone.png,2\n")
    rows = rows_of(
        lossbench("predict", run, "faces/crops/val/happiness/1.png.1.png", "faces/crops/val/sadness",
                  "faces/crops/**/0.png.*", manifest, "csv:plain.csv?path-column=image", "--json")
    )  # fmt: skip
    assert [row["path"] for row in rows] == [
        "faces/crops/val/happiness/1.png.1.png",
        "faces/crops/val/sadness/0.png.1.png", "faces/crops/val/sadness/1.png.1.png",
        *(f"faces/crops/{split}/{label}/0.png.1.png" for split in ("train", "val") for label in EXPRESSIONS),
        *listed,
        "own.png", "faces/crops/val/surprise/0.png.1.png", "gone.png",
    ]  # fmt: skip
    assert [row["error"] for row in rows[:-2]] == [None] * (len(rows) - 2)
    assert rows[-2]["error"].endswith("move the images below that folder, or pass 'csv:plain.csv?root=DIR'")
    assert rows[-1]["error"] == "no such file"


def test_what_cannot_be_read_is_a_row_with_its_reason(lossbench: Any, run: Path) -> None:
    Path("all").mkdir()
    photograph(Path("all/one.png"), [(10, 10, 30)])
    photograph(Path("all/two.png"), [(10, 10, 30), (60, 10, 20)])
    photograph(Path("all/none.png"), [])
    Path("all/zero.png").touch()
    Path("all/text.jpg").write_text("hello")
    Path("all/IMG.HEIC").touch()
    Path("all/.hidden.png").touch()
    Path("all/notes.txt").touch()
    Path("empty").mkdir()
    done = lossbench("predict", run, "all", "gone.png", "no*.png", "empty", run, "--detect", "--json")
    rows = rows_of(done)
    assert {row["path"]: row["error"] for row in rows if row["error"]} == {
        "all/IMG.HEIC": "images of the kind .heic are not read: convert it",
        "all/none.png": "no face found",
        "all/text.jpg": "not an image",
        "all/zero.png": "zero bytes",
        "gone.png": "no such file",
        "no*.png": "no file matches this pattern",
        "empty": "expected images; it is an empty directory",
        str(run): f"expected images; it is the directory of a finished run (lossbench report {run})",
    }
    faces = [(row["path"], row["face"], row["faces"]) for row in rows if not row["error"]]
    assert faces == [("all/one.png", 1, 1), ("all/two.png", 1, 2), ("all/two.png", 2, 2)]
    assert all(row["class"] is row["probabilities"] is row["box"] is None for row in rows if row["error"])
    assert "warning: 8 of 11 rows have an error instead of a prediction" in done.err


def test_nothing_that_can_be_read_is_an_error(lossbench: Any, run: Path) -> None:
    done = lossbench("predict", run, "zero.png", "gone.png")
    assert (done.code, done.out) == (2, "")
    assert "none of 2 images could be predicted:\n  zero.png: no such file\n  gone.png: no such file" in done.err
    done = lossbench("predict", run, "gone.png", "--json")
    assert (done.code, json.loads(done.out)[0]["error"]) == (2, "no such file")
    assert done.err.endswith("error: gone.png: no such file\n")


@pytest.mark.parametrize("columns", [40, 80])
def test_rows_can_be_told_apart(lossbench: Any, run: Path, columns: int) -> None:
    deep = Path("a-folder-with-a-long-name/and-another-one-below-it")
    deep.mkdir(parents=True)
    for n in range(3):
        shutil.copy("faces/crops/val/happiness/0.png.1.png", deep / f"a-photograph-{n}.png")
    done = lossbench("predict", run, deep, columns=columns)
    assert done.code == 0, done.err
    assert all(len(line) <= columns for line in done.out.splitlines())
    flat = "".join(done.out.split())
    assert all(f"a-photograph-{n}.png" in flat or f"photograph-{n}" in flat for n in range(3))
    assert sum(flat.count(label) for label in EXPRESSIONS) >= 9


def test_top_csv_and_sheet(lossbench: Any, run: Path) -> None:
    Path("=1.png").write_bytes(Path("faces/crops/val/happiness/0.png.1.png").read_bytes())
    Path("bad.png").touch()
    done = lossbench("predict", run, "faces/crops/val", "=1.png", "bad.png", "--csv", "all.csv", "--sheet", "s.png")
    assert done.code == 0, done.err
    with open("all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "probability", *(f"probability_{name}" for name in EXPRESSIONS), "error"]
    assert len(rows) == 8
    assert (rows[6]["path"], rows[7]["error"], rows[7]["class"]) == ("'=1.png", "zero bytes", "")
    assert sum(float(rows[0][f"probability_{name}"]) for name in EXPRESSIONS) == pytest.approx(1, abs=1e-4)
    with Image.open("s.png") as sheet:
        assert sheet.size[0] == 1508
        assert len(sheet.getcolors(10**7) or ()) > 50
    done = lossbench("predict", run, "photos/val", "--detect", "--top", 2, "--json", "--csv", "top.csv")
    for row in rows_of(done):
        values = list(row["probabilities"].values())
        assert len(values) == 2
        assert values[0] >= values[1]
    with open("top.csv", newline="") as file:
        header = next(csv.reader(file))
    assert header == ["path", "face", "faces", "score", "left", "top", "right", "bottom", "class", "probability",
                      "class_2", "probability_2", "error"]  # fmt: skip
    assert "class_4" not in lossbench("predict", run, "=1.png", "--top", 9, "--csv", "x.csv").out


def test_another_detector_and_runs_without_a_recipe(lossbench: Any, run: Path, tmp_path: Path) -> None:
    done = lossbench("predict", run, "photos/val/happiness", "--detect", "bright:plain", "--json")
    assert [row["error"] for row in rows_of(done)] == [None, None]
    assert (
        "warning: the run was trained on faces that were cut out in another way: detector is bright:plain, was bright"
        in done.err
    )
    record = json.loads((run / "record.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(run, other)

    def rewrite(crop: object) -> None:
        (other / "record.json").write_text(json.dumps(record | {"data": record["data"] | {"crop": crop}}))

    rewrite(None)
    done = lossbench("predict", other, "photos/val/happiness", "--detect")
    assert done.code == 2
    assert "was not trained on crops of lossbench data crop and records no detector: pass --detect NAME" in done.err
    assert "bright" in done.err
    done = lossbench("predict", other, "photos/val/happiness", "--detect", "bright", "--json")
    assert len(rows_of(done)) == 2
    assert "Faces are found by bright (bright 1.0) and cut out upright with a margin of 0.3." in done.err
    rewrite(record["data"]["crop"] | {"detector": "bright:plain"})
    done = lossbench("predict", other, "photos/val/happiness", "--detect")
    assert done.code == 2
    assert "is not taken from a record: pass --detect bright:plain" in done.err
    rewrite(record["data"]["crop"] | {"size": 10**9})
    done = lossbench("predict", other, "photos/val/happiness", "--detect")
    assert done.code == 2
    assert "data.crop: ValueError: size must be from 8 to 4096" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "--top", "0"], "--top must be at least 1, got 0"),
        (["photos", "--csv", "a.txt"], "--csv a.txt: expected a name that ends in .csv"),
        (["photos", "--sheet", "a.jpg"], "--sheet a.jpg: expected a name that ends in .png"),
        (["photos", "--device", "tpu"], "--device must be auto, cpu, cuda, cuda:N or mps, got 'tpu'"),
        (["photos", "--detect", "brihgt"], "no detector 'brihgt' is installed. Did you mean 'bright'?"),
        (["photos", "--detect", "bright:9"], "the detector bright takes no argument but plain, got '9'"),
        (["no.csv"], "no.csv: no such manifest"),
        (["faces/manifest.csv", "csv:faces/manifest.csv?path-column=x"], "no column 'x' with paths of images."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_call_that_cannot_work_is_refused(lossbench: Any, run: Path, arguments: list[str], message: str) -> None:
    done = lossbench("predict", run, *arguments)
    assert done.code == 2
    assert message in done.err, done.err
    assert "Traceback" not in done.err


def test_where_a_detector_s_name_may_stand(run: Path) -> None:
    Path("here").touch()
    for arguments, expected in (
        (["--detect", "photos"], ["--detect=", "photos"]),
        (["--detect", "here"], ["--detect=", "here"]),
        (["--detect", "a*.png"], ["--detect=", "a*.png"]),
        (["--detect", "gone.jpg"], ["--detect=", "gone.jpg"]),
        (["--detect", "--json"], ["--detect=", "--json"]),
        (["x", "--detect"], ["x", "--detect="]),
        (["--detect", "bright", "x"], ["--detect", "bright", "x"]),
        (["--detect", "bright:plain"], ["--detect", "bright:plain"]),
        (["--detect", "unknown"], ["--detect", "unknown"]),
        (["--", "--detect"], ["--", "--detect"]),
    ):
        assert with_detector(arguments) == expected


def test_rows_come_while_others_are_read(run: Path) -> None:
    """The names of images are not collected before the first is predicted."""
    from lossbench.harness.evaluation.inputs import ImageInput
    from lossbench.harness.evaluation.predict import Predictor
    from lossbench.harness.evaluation.trained_run import load_run

    asked = 0

    def endless() -> Iterator[ImageInput]:
        nonlocal asked
        while True:
            asked += 1
            yield ImageInput("x", Path("faces/crops/val/happiness/0.png.1.png"))

    stream = Predictor(load_run(run), threads=1).predict(endless())
    first = next(stream)
    assert first.probabilities is not None
    assert asked <= 1024
    stream.close()
