"""`lossbench data crop` on made photographs, with a detector made by the tests."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_detector import photograph
from PIL import Image

from lossbench.data.crop_recipe import CropRecipe, read_recipe
from lossbench.data.manifest import read_csv_manifest
from lossbench.data.sources import open_unchecked
from lossbench.errors import Interrupted
from lossbench.faces.crop import crop_faces
from lossbench.faces.photographs import list_photographs

pytestmark = pytest.mark.usefixtures("made_detector")
AMBER, BLUE = (220, 160, 20), (30, 40, 200)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of two classes, and of every kind of trouble."""
    root = tmp_path / "photos"
    for n in range(3):
        photograph(root / f"amber/{n}.png", [(20 + n, 30, 20)], AMBER)
        photograph(root / f"blue/{n}.png", [(60, 10 + n, 24)], BLUE)
    photograph(root / "amber/two faces.png", [(10, 10, 30), (70, 40, 16)], AMBER)
    photograph(root / "blue/none.png", [])
    photograph(root / "blue/edge.png", [(110, 0, 10)], BLUE)
    (root / "blue/cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (root / "blue/IMG_1.heic").write_bytes(b"x")
    (root / "notes.txt").write_text("x")
    return root


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_photograph_is_a_row(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = lossbench("data", "crop", photos, out, "--detector", "bright", "--workers", 0, "--size", 40)
    assert done.code == 0, done.err
    rows = rows_of(out)
    assert len(rows) == 12
    by_photo = {(row["photo"], row["face"]): row for row in rows}
    first = by_photo["amber/0.png", "1"]
    assert (first["path"], first["label"], first["faces"]) == ("crops/amber/0.png.1.png", "amber", "1")
    assert [float(first[name]) for name in ("left", "top", "right", "bottom")] == [20, 30, 40, 50]
    assert float(first["left_eye_x"]) == pytest.approx(20 + 0.342 * 20, abs=0.01)
    assert (first["photo_width"], first["photo_height"], first["padding"]) == ("120", "90", "0.0")
    # The longer side is 20; a margin of 0.3 on each side gives 32 pixels.
    photo = Image.fromarray(pixels(photos / "amber/0.png").astype(np.uint8))
    expected = np.asarray(photo.crop((14, 24, 46, 56)).resize((40, 40), Image.Resampling.BICUBIC)).astype(int)
    assert abs(pixels(out / first["path"]) - expected).max() <= 2
    large, small = by_photo["amber/two faces.png", "1"], by_photo["amber/two faces.png", "2"]
    assert (large["left"], small["left"]) == ("10.0", "70.0")
    assert large["group"] == small["group"] == "amber/two faces.png"
    assert float(by_photo["blue/edge.png", "1"]["padding"]) > 0.3
    assert {photo: row["reason"] for (photo, _), row in by_photo.items() if not row["path"]} == {
        "blue/none.png": "no face found",
        "blue/cut.jpg": "truncated",
        "blue/IMG_1.heic": "images of the kind .heic are not read: convert it",
    }
    assert "Without a crop: 3" in done.out
    assert "blue/cut.jpg: truncated" in done.out
    assert "ignored 1 x .txt" in done.out
    assert f"lossbench run --loss weighted-cluster --data csv:{out}/manifest.csv" in done.out
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "crop.json", "crops", "manifest.csv", "photographs.jsonl",
    ]  # fmt: skip


def test_the_manifest_is_trained_on_and_recorded(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert lossbench("data", "crop", photos, out, "--detector", "bright", "--workers", 0, "--size", 32).code == 0
    manifest = read_csv_manifest(out / "manifest.csv")
    assert len(manifest) == 9
    assert manifest.notes == (f"{out}/manifest.csv: 3 row(s) without a crop are left out; column 'reason' says why",)
    assert manifest.crop == CropRecipe(detector="bright", version="bright 1.0", size=32, min_score=0.5)
    whole = open_unchecked(f"csv:{out}/manifest.csv").whole
    assert whole is not None
    assert whole.class_counts == (5, 4)
    assert whole.details["crop"] == manifest.crop
    assert whole.subject == "a face as lossbench data crop cuts it out"


def test_it_resumes_with_what_is_new_changed_or_lost(
    lossbench: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    call = ("data", "crop", photos, out, "--detector", "bright", "--workers", 0, "--json")
    first = json.loads(lossbench(*call).out)
    assert (first["photographs"], first["resumed"], first["crops"]) == (11, 0, 9)
    before = (out / "manifest.csv").read_bytes()
    assert json.loads(lossbench(*call).out)["resumed"] == 11
    assert (out / "manifest.csv").read_bytes() == before
    photograph(photos / "amber/9.png", [(20, 20, 20)], AMBER)
    photograph(photos / "amber/two faces.png", [(10, 10, 31)], AMBER)
    (out / "crops/blue/0.png.1.png").write_bytes(b"cut off")
    with (out / "photographs.jsonl").open("ab") as file:
        file.write(b'{"photo": "amb')  # as a kill leaves it
    again = json.loads(lossbench(*call).out)
    assert (again["photographs"], again["resumed"], again["crops"]) == (12, 9, 9)
    assert not (out / "crops/amber/two faces.png.2.png").exists()
    assert pixels(out / "crops/blue/0.png.1.png").shape == (224, 224, 3)
    assert json.loads(lossbench(*call).out)["resumed"] == 12


def test_an_interrupted_call_keeps_what_is_done(
    photos: Path, tmp_path: Path, lossbench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, recipe = tmp_path / "out", CropRecipe(detector="bright", version="bright 1.0", min_score=0.5)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"4 of 11 photographs are done\. Resume with the same command"):
        crop_faces(list_photographs(str(photos)), out, recipe, progress=stop)
    assert not (out / "manifest.csv").exists()
    cropped = crop_faces(list_photographs(str(photos)), out, recipe)
    assert cropped.resumed == 4
    assert len(rows_of(out)) == 12


def test_turned_gray_and_damaged_photographs(lossbench: Any, tmp_path: Path) -> None:
    root, out = tmp_path / "photos", tmp_path / "out"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    photograph(root / "turned.png", [(20, 10, 30)], exif=exif)
    turned = np.rot90(pixels(photograph(root / "as-it-is.png", [(20, 10, 30)])), -1)
    upright = Image.fromarray(turned.astype(np.uint8))
    upright.save(root / "as-it-is.png")
    upright.convert("L").save(root / "gray.png")
    Image.new("RGB", (1, 1), "white").save(root / "tiny.png")
    (root / "zero.png").touch()
    (root / "huge.ppm").write_bytes(b"P6 60000 60000 255\n" + bytes(100))
    done = lossbench("data", "crop", root, out, "--detector", "bright", "--workers", 0, "--align", "--json")
    assert done.code == 0, done.err
    rows = {row["photo"]: row for row in rows_of(out)}
    assert [rows["turned.png"][name] for name in ("left", "photo_width")] == [rows["as-it-is.png"][name] for name in (
        "left", "photo_width")] == ["50.0", "90"]  # fmt: skip
    np.testing.assert_array_equal(*(pixels(out / f"crops/{name}.png.1.png") for name in ("turned", "as-it-is")))
    assert rows["gray.png"]["path"]
    assert rows["tiny.png"]["path"]
    assert rows["zero.png"]["reason"] == "zero bytes"
    assert "at most 89478485 are decoded" in rows["huge.ppm"]["reason"]
    assert "label" not in rows["gray.png"]
    content = json.loads(done.out)
    assert not content["trainable"]
    assert content["notes"] == ["The photographs lie in no class folders and have no labels"]


def test_forty_faces_and_the_largest_alone(lossbench: Any, tmp_path: Path) -> None:
    photograph(tmp_path / "photos/a/crowd.png", [(5 + 12 * n, 5 + 18 * m, 10) for n in range(10) for m in range(4)])
    call = ("data", "crop", tmp_path / "photos", tmp_path / "out", "--detector", "bright", "--workers", 0, "--json",
            "--size", 32)  # fmt: skip
    content = json.loads(lossbench(*call).out)
    assert (content["faces"], content["crops"], content["most_faces"]) == (40, 40, 40)
    content = json.loads(lossbench(*call, "--faces", "largest").out)
    assert (content["faces"], content["crops"], len(content["without_crop"])) == (40, 1, 39)
    assert content["without_crop"][0]["reason"] == "not the largest face of the photograph (--faces largest)"
    assert len(list((tmp_path / "out/crops/a").iterdir())) == 1
    assert json.loads(lossbench(*call).out)["crops"] == 40


def test_a_manifest_s_labels_splits_and_persons_are_kept(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    lines = ["file,emotion,split,person", "amber/0.png,happy,train,p1", "blue/1.png,sad,val,p2"]
    (photos / "list.csv").write_text("\n".join(lines))
    spec = f"csv:{photos}/list.csv?path-column=file&label=emotion"
    done = lossbench("data", "crop", spec, tmp_path / "out", "--detector", "bright", "--workers", 0)
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "out")
    assert [[row[name] for name in ("label", "split", "person")] for row in rows] == [
        ["happy", "train", "p1"], ["sad", "val", "p2"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("raise", r"the detector failing failed: RuntimeError: no \x1b[31mluck"),
        ("nan", "the detector failing failed: ValueError: its box is (0.0, 0.0, nan, 3.0); expected 4 finite"),
        ("text", "the detector failing failed: TypeError: it returned str, expected lossbench.detectors.Face"),
        ("far", "it lies outside the 120 x 90 pixels of the photograph"),
    ],
)
def test_what_is_wrong_with_a_detector_is_a_reason(lossbench: Any, tmp_path: Path, argument: str, reason: str) -> None:
    photograph(tmp_path / "photos/a/0.png", [(5, 5, 10)])
    done = lossbench("data", "crop", tmp_path / "photos", tmp_path / "out", "--detector", f"failing:{argument}",
                     "--workers", 0)  # fmt: skip
    assert done.code == 0, done.err
    assert reason in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "out", "--detector", "brihgt"], "no detector 'brihgt' is installed. Did you mean 'bright'?"),
        (["photos", "out", "--detector", "bright:x"], "the detector bright takes no argument but plain, got 'x'"),
        (["photos", "out", "--detector", "broken"], "of made-detector 1.2 (made_detector_module:broken) cannot be "
         "built: ImportError: no module named eyes"),
        (["photos", "photos/out", "--detector", "bright"], "photos/out lies within the photographs (photos)"),
        (["photos", "full", "--detector", "bright"], "full contains other files (x.txt)"),
        (["photos", "out", "--detector", "bright", "--margin", "-1"], "--margin must be from 0 to 3.0, got -1.0"),
        (["photos", "out", "--detector", "bright", "--size", "0"], "--size must be from 8 to 4096, got 0"),
        (["photos", "out", "--detector", "bright", "--min-score", "nan"], "--min-score must be finite, got nan"),
        (["photos", "out", "--detector", "bright", "--faces", "some"], "--faces must be all or largest, got 'some'"),
        (["photos", "out", "--detector", "bright", "--workers", "-1"], "--workers must be from 0 to 1024, got -1"),
        (["gone", "out", "--detector", "bright"], "gone: missing; expected a folder of photographs or a manifest"),
        (["empty", "out", "--detector", "bright"], "empty: no photographs: it is empty"),
        (["full", "out", "--detector", "bright"], "full: no photographs; it contains 1 x .txt"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_call_that_cannot_work_is_refused(
    lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photograph(tmp_path / "photos/a/0.png", [(5, 5, 10)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x.txt").touch()
    done = lossbench("data", "crop", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert message in done.err, done.err
    assert not (tmp_path / "out").exists()


def test_other_options_need_another_directory(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    call = ("data", "crop", photos, tmp_path / "out", "--detector", "bright", "--workers", 0)
    assert lossbench(*call).code == 0
    done = lossbench(*call, "--margin", 0.5)
    assert done.code == 2
    assert "margin is 0.5, was 0.3" in done.err


@pytest.mark.long  # it starts processes
def test_processes_give_the_same_manifest(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        done = lossbench("data", "crop", photos, tmp_path / f"{workers}", "--detector", "bright", "--workers", workers)
        assert done.code == 0, done.err
    assert (tmp_path / "0/manifest.csv").read_bytes() == (tmp_path / "2/manifest.csv").read_bytes()


@pytest.mark.long  # it starts a process
def test_a_process_that_ends_is_named(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    done = lossbench("data", "crop", photos, tmp_path / "out", "--detector", "failing:exit", "--workers", 1)
    assert done.code == 1
    assert "error: a process that finds faces ended" in done.err
    assert "a lower --workers (it was 1)" in done.err


def test_a_foreign_journal_leads_nowhere(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    """Lines that name files outside the crops are ignored, so that nothing outside is removed or listed."""
    call = ("data", "crop", photos, tmp_path / "out", "--detector", "bright", "--workers", 0)
    assert lossbench(*call).code == 0
    (tmp_path / "mine.png").write_bytes(b"keep")
    face = {"box": [0, 0, 1, 1], "score": 1.0, "path": "crops/../../mine.png", "bytes": 4}
    line = {"photo": "amber/0.png", "state": "", "faces": [face]}
    (tmp_path / "out/photographs.jsonl").write_text(json.dumps(line) + "\n[1, 2]\n\n")
    assert lossbench(*call).code == 0
    assert (tmp_path / "mine.png").read_bytes() == b"keep"
    (tmp_path / "out/crop.json").write_text('{"detector": 3}')
    done = lossbench(*call)
    assert done.code == 2
    assert "crop.json: not what lossbench data crop writes (detector must be text)" in done.err


def test_nothing_is_written_or_removed_through_a_link(lossbench: Any, photos: Path, tmp_path: Path) -> None:
    call = ("data", "crop", photos, tmp_path / "out", "--detector", "bright", "--workers", 0, "--size", 32)
    assert lossbench(*call).code == 0
    (tmp_path / "out/crops/amber").rename(tmp_path / "elsewhere")
    (tmp_path / "out/crops/amber").symlink_to(tmp_path / "elsewhere")
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "elsewhere").iterdir())
    photograph(photos / "amber/two faces.png", [(10, 10, 31)], AMBER)
    done = lossbench(*call)
    assert done.code == 2
    assert "out/crops/amber is or lies behind a symbolic link" in done.err
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "elsewhere").iterdir()) == before


def test_a_damaged_recipe_is_refused(tmp_path: Path) -> None:
    assert read_recipe(tmp_path) is None
    recipe = CropRecipe(detector="bright", version="1")
    for text in ("{", "[]", "{}", json.dumps(recipe.content() | {"size": 10**9}), "[" * 10**5):
        (tmp_path / "crop.json").write_text(text)
        with pytest.raises(ValueError, match=r"crop\.json: not what lossbench data crop writes|has .* bytes"):
            read_recipe(tmp_path)
