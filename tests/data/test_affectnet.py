"""AffectNet's four layouts: what is found out, kept, dropped, counted and refused."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import affectnet_trees as trees
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lossbench.data.affectnet.codes import CLASS_NAMES, NAMES, code_of
from lossbench.data.affectnet.npy import read_whole_number
from lossbench.data.preflight import unreadable
from lossbench.data.sources import Splits, open_data
from lossbench.errors import DataError

Make = Callable[[Path], Path]
LAYOUTS: dict[str, Make] = {
    "full-2017": trees.full,
    "affectnet8-2021": trees.mini,
    "plus-2024": trees.plus,
    "class-folders": trees.class_folders,
}
DROPPED = {
    "full-2017": {"train": {"None": 3, "Uncertain": 2, "Non-Face": 4}, "val": {"Non-Face": 1}},
    "affectnet8-2021": {"train": {}, "val": {}},
    "plus-2024": {"train": {"None": 3, "Uncertain": 2, "Non-Face": 4}, "val": {}},
    "class-folders": {"train": {"Non-Face": 1}, "val": {}},
}


def opened(root: Path, **options: object) -> Splits:
    return open_data(f"affectnet:{root}", **options)  # type: ignore[arg-type]


def refused(root: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(root, **options)
    return str(caught.value)


def colour(splits: Splits, target: int) -> tuple[int, ...]:
    """The mean colour of a class, rounded to the palette's: what shows that images and labels belong together."""
    rows = np.flatnonzero(splits.train.targets == target)
    return tuple(np.mean([np.asarray(splits.train.read(int(row))).mean(axis=(0, 1)) for row in rows], axis=0).round())


# --- what all layouts share ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", LAYOUTS)
def test_every_layout_is_found_out_and_read_alike(tmp_path: Path, release: str) -> None:
    splits = opened(LAYOUTS[release](tmp_path))
    assert splits.train.details["release"] == release
    assert splits.test.details["dropped"] == DROPPED[release]
    assert splits.train.class_names == CLASS_NAMES == splits.test.class_names
    assert splits.train.class_counts == trees.TRAIN
    assert splits.test.class_counts == trees.VAL
    assert splits.train.subject == "a cropped face"
    assert splits.notes[0].startswith(f"{tmp_path}: AffectNet")
    assert splits.notes[0].endswith("; 8 classes")
    assert unreadable([splits.train, splits.test]) == []
    for target in range(8):
        assert colour(splits, target) == pytest.approx(trees.PALETTE[target], abs=4)


@pytest.mark.parametrize("release", LAYOUTS)
def test_seven_classes_are_eight_without_contempt(tmp_path: Path, release: str) -> None:
    root = LAYOUTS[release](tmp_path)
    eight, seven = opened(root, classes=8), opened(root, classes=7)
    assert seven.train.class_names == CLASS_NAMES[:7]
    assert seven.train.class_counts == eight.train.class_counts[:7]
    assert seven.train.details["dropped"]["train"]["contempt"] == 3  # type: ignore[index]
    assert seven.test.details["dropped"]["val"]["contempt"] == 2  # type: ignore[index]
    assert any("3 contempt" in note for note in seven.notes)
    assert eight.train.digest() == opened(root).train.digest() != seven.train.digest()


@pytest.mark.parametrize("release", LAYOUTS)
def test_rows_come_in_the_same_order_each_time_and_go_to_worker_processes(tmp_path: Path, release: str) -> None:
    root = LAYOUTS[release](tmp_path)
    train = opened(root).train
    assert list(train.sample_ids) == list(opened(root).train.sample_ids)
    assert pickle.loads(pickle.dumps(train.read))(2).tobytes() == train.read(2).tobytes()


@pytest.mark.parametrize("release", ["full-2017", "affectnet8-2021", "plus-2024"])
def test_annotations_without_images_are_told_and_found_before_a_run_and_images_without_are_counted(
    tmp_path: Path, release: str
) -> None:
    root = LAYOUTS[release](tmp_path)
    train = opened(root).train
    assert train.paths is not None
    train.paths[4].unlink()
    trees.paint(train.paths[4].with_name("999999.jpg"), 0, 0)
    again = opened(root)
    assert again.train.class_counts == trees.TRAIN
    name = train.sample_ids[4].replace(".JPG", ".jpg")
    assert any(f"1 annotation(s) without an image, such as {name}" in note for note in again.notes)
    assert any("1 image(s) without an annotation, ignored" in note for note in again.notes)
    ((path, reason),) = unreadable([again.train])
    assert (path.stem, reason) == (train.paths[4].stem, "no such file")


@pytest.mark.parametrize("release", LAYOUTS)
def test_images_of_zero_bytes_are_dropped_and_named(tmp_path: Path, release: str) -> None:
    root = LAYOUTS[release](tmp_path)
    train = opened(root).train
    assert train.paths is not None
    train.paths[0].write_bytes(b"")
    again = opened(root)
    assert len(again.train) == len(train) - 1
    assert again.train.details["dropped"]["train"]["of zero bytes"] == 1  # type: ignore[index]
    assert any(f"of zero bytes: {train.sample_ids[0]}" in note for note in again.notes)
    assert unreadable([again.train]) == []


def test_no_release_without_contempt_has_eight_classes(tmp_path: Path) -> None:
    root = trees.full(tmp_path, train=(*trees.TRAIN[:7], 0), val=(*trees.VAL[:7], 0))
    assert opened(root).train.class_names == CLASS_NAMES[:7]
    assert "no training image of contempt, which --classes 8 needs; pass --classes 7" in refused(root, classes=8)


def test_a_folder_around_the_release_is_looked_into(tmp_path: Path) -> None:
    trees.mini(tmp_path / "AffectNet")
    assert opened(tmp_path).train.class_counts == trees.TRAIN


# --- the full release ------------------------------------------------------------------------------------------------


def test_the_traps_of_the_full_release(tmp_path: Path) -> None:
    splits = opened(trees.full_with_traps(tmp_path))
    assert splits.train.class_counts == tuple(np.add(trees.TRAIN, (0, 0, 1, 1, 1, 1, 1, 0)))
    dropped = {"None": 3, "Uncertain": 2, "Non-Face": 4, "of zero bytes": 1}
    assert splits.train.details["dropped"] == {"train": dropped, "val": {"Non-Face": 1}}
    lists = "Manually_Annotated_file_lists"
    assert splits.notes[1:] == (
        f"{lists}/training.csv: 1 image(s) found with a different extension or letter case",
        f"{lists}/training.csv: 1 duplicate row(s) of an image, dropped",
        f"{lists}/training.csv: 1 image(s) without an annotation, ignored",
        f"{lists}/training.csv: dropped 3 None, 2 Uncertain, 4 Non-Face, 1 of zero bytes",
        f"{lists}/training.csv: of zero bytes: 103/{trees.ZERO_BYTES}",
        f"{lists}/training.csv: 1 without a face box (-1); the whole image is used",
        f"{lists}/validation.csv: no header; columns are assumed to be in AffectNet's order",
        f"{lists}/validation.csv: dropped 1 Non-Face",
    )
    assert unreadable([splits.train, splits.test]) == []


def test_boxes_are_cut_out_with_a_margin_and_clipped_at_the_edges(tmp_path: Path) -> None:
    splits = opened(trees.full_with_traps(tmp_path))
    row = {name: number for number, name in enumerate(splits.train.sample_ids)}
    assert splits.train.details["margin"] == 0.15
    assert splits.train.boxes is not None
    # (4, 6, 30, 28) with 4.5 and 4.2 pixels more on each side
    assert splits.train.boxes[row["7/d.bmp"]].tolist() == [0, 2, 38, 38]
    assert splits.train.read(row["7/d.bmp"]).size == (38, 36)
    assert splits.train.read(row["7/a.png"]).size == (40, 40)  # -1: the whole image
    assert splits.train.read(row["7/e.Jpeg"]).size == (60 - 12, 44)  # of (20, -3, 50, 50), which leaves its 60 x 44
    whole = np.asarray(Image.open(splits.train.paths[row["7/b.JPG"]]).convert("RGB"))  # type: ignore[index]
    np.testing.assert_array_equal(np.asarray(splits.train.read(row["7/b.JPG"])), whole[2:38, 0:38])
    assert splits.train.subset(np.array([row["7/a.png"], row["7/d.bmp"]])).read(1).size == (38, 36)


def test_boxes_are_part_of_the_digest(tmp_path: Path) -> None:
    images, training = trees.training_of(trees.full(tmp_path))
    assert images.is_dir()
    before = opened(tmp_path).train.digest()
    training.write_text(training.read_text().replace(",4,6,30,28,", ",4,6,30,27,", 1))
    assert opened(tmp_path).train.digest() != before


def test_a_box_beside_its_image_is_found_before_a_run(tmp_path: Path) -> None:
    images, training = trees.training_of(trees.full(tmp_path))
    trees.paint(images / "7/a.jpg", 2, 1)
    trees.append(training, [trees.row("7/a.jpg", 2, (100, 0, 20, 20))])
    splits = opened(tmp_path)
    assert unreadable([splits.train]) == [
        (images / "7/a.jpg", "its box (97, -3, 123, 23) lies outside its 40 x 40 pixels")
    ]
    with pytest.raises(DataError, match=r"7/a.jpg: its box .* lies outside"):
        splits.train.read(len(splits.train) - 1)


def test_columns_may_be_in_another_order_and_the_lists_beside_the_images(tmp_path: Path) -> None:
    trees.full(tmp_path)
    lists = tmp_path / "Manually_Annotated_file_lists"
    lines = [line.split(",") for line in (lists / "training.csv").read_text().splitlines()]
    (lists / "training.csv").write_text("\ufeff" + "\r\n".join(",".join(reversed(line)) for line in lines))
    lists.rename(tmp_path / "Manually_Annotated" / lists.name)
    assert opened(tmp_path).train.class_counts == trees.TRAIN
    assert opened(tmp_path / "Manually_Annotated").train.class_counts == trees.TRAIN


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (trees.row("1/x.jpg", 11), "row 41: '1/x.jpg': expression 11, expected 0 to 10"),
        (trees.row("1/x.jpg", -1), "row 41: '1/x.jpg': expression -1, expected 0 to 10"),
        (["1/x.jpg", 1, 1, 5, 5, "", "happy", 0, 0], "row 41: '1/x.jpg': 'happy' is not a number"),
        (["1/x.jpg", 1.5, 1, 5, 5, "", 1, 0, 0], "row 41: '1/x.jpg': '1.5' is not a whole number"),
        (["1/x.jpg", "nan", 1, 5, 5, "", 1, 0, 0], "row 41: '1/x.jpg': 'nan' is not a whole number"),
        (["1/x.jpg", 1, 1, 9**9, 5, "", 1, 0, 0], r"the box \(1, 1, 387420489, 5\) is not a rectangle in an image"),
        (["1/x.jpg", 1, 1, 5], r"row 41: 4 fields, expected 9 \(is the file cut off\?\)"),
        (trees.row("../../x.jpg", 1), r"row 41: '../../x.jpg': is outside .*Manually_Annotated_Images"),
        (trees.row("/etc/x.jpg", 1), r"row 41: '/etc/x.jpg': is outside "),
        (trees.row("", 1), r"row 41: '': is outside "),
    ],
)
def test_rows_that_can_t_be_used_are_listed(tmp_path: Path, row: list[object], message: str) -> None:
    _, training = trees.training_of(trees.full(tmp_path, train=(4,) * 8))
    trees.append(training, [row])
    lines = len(training.read_text().splitlines())
    with pytest.raises(
        DataError, match=r"training.csv: 1 invalid annotation\(s\):\n.*" + message.replace("41", str(lines))
    ):
        opened(tmp_path)


def test_lists_that_are_no_lists(tmp_path: Path) -> None:
    _, training = trees.training_of(trees.full(tmp_path))
    text = training.read_text()
    training.write_text(text.replace("face_width", "face_w", 1))
    assert "no column 'face_width'; found columns: subdirectory_filepath, face_x, face_y, face_w, " in refused(tmp_path)
    training.write_text(text + '"1/x.jpg')
    assert "training.csv: not CSV after row" in refused(tmp_path)
    training.write_bytes(text.encode() + b"1/\xff.jpg,1,1,1,1,,1,0,0\n")
    assert "training.csv: not UTF-8 text after row" in refused(tmp_path)
    training.write_text("")
    assert "training.csv: no annotations; is the download complete?" in refused(tmp_path)
    training.unlink()
    training.mkdir()
    assert "training.csv: cannot read: Is a directory" in refused(tmp_path)


def test_parts_of_the_full_release_that_are_missing(tmp_path: Path) -> None:
    images, training = trees.training_of(trees.full(tmp_path))
    validation = training.with_name("validation.csv")
    validation.rename(tmp_path / "elsewhere")
    said = refused(tmp_path)
    assert said.startswith(
        f"{tmp_path}: the full release of AffectNet without validation.csv; looked in {training.parent}"
    )
    (tmp_path / "elsewhere").rename(validation)
    images.rename(tmp_path / "elsewhere")
    assert "AffectNet's CSV lists without its images; looked for Manually_Annotated_Images/ in" in refused(tmp_path)
    images.mkdir()
    assert "none of its 48 images exists; the first is expected at" in refused(tmp_path)


# --- AffectNet-8 of 2021 ---------------------------------------------------------------------------------------------


def hostile_pickle(marker: Path) -> object:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(marker),)

    return Hostile()


def object_array(path: Path, marker: Path) -> None:
    np.save(path, np.array(hostile_pickle(marker), dtype=object), allow_pickle=True)


def bare_pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps(hostile_pickle(marker)))


def saved(value: object) -> Callable[[Path, Path], None]:
    return lambda path, marker: np.save(path, np.array(value))


def cut(length: int) -> Callable[[Path, Path], None]:
    return lambda path, marker: path.write_bytes(path.read_bytes()[:length]) and None


def claims_too_much(path: Path, marker: Path) -> None:
    np.save(path, np.zeros(3))
    path.write_bytes(path.read_bytes().replace(b"(3,), }", b"(10000000000000,), }"))


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (saved([1, 2]), r"an array of shape \(2,\); expected a single number"),
        (saved([3]), r"an array of shape \(1,\); expected a single number"),
        (saved("happy"), "'happy', expected a whole number"),
        (saved(""), "'', expected a whole number"),
        (saved(1.5), "'1.5', expected a whole number"),
        (saved(float("nan")), "'nan', expected a whole number"),
        (saved(11), "expression 11, expected 0 to 10"),
        (saved(-1), "expression -1, expected 0 to 10"),
        (cut(0), "zero bytes"),
        (cut(5), "not an npy array"),
        (cut(40), "not an npy array"),
        (cut(-1), "truncated or damaged: 7 bytes of data, expected 8"),
        (object_array, r"contains Python objects \(a pickle\), which are not read"),
        (bare_pickle, r"not an npy array \(a pickle\?\), not opened"),
        (claims_too_much, r"an array of shape \(\d+,\); expected a single number"),
        (lambda path, marker: path.write_bytes(b"\x93NUMPY" + b"\1" * (1 << 21)), "more than 1048576 bytes"),
    ],
    ids=range(16),
)
def test_arrays_that_are_no_code_are_refused_and_nothing_is_executed(
    tmp_path: Path, corrupt: Callable[[Path, Path], None], message: str
) -> None:
    root, marker = trees.mini(tmp_path / "tree"), tmp_path / "executed"
    corrupt(root / "train_set/annotations/6_exp.npy", marker)
    with pytest.raises(DataError, match=rf"train_set/annotations: 1 invalid annotation.*\n  6_exp.npy: {message}"):
        opened(root)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Reading `.npy`")  # numpy's word on headers that look like Python 2
@given(
    value=st.sampled_from([3, "3", 3.0, np.bytes_(b"3")]),
    changes=st.lists(st.tuples(st.integers(6, 135), st.sampled_from(list(b"(){}[]'\\,: \nL0x\0\xff"))), max_size=6),
    length=st.integers(0, 140),
)
def test_damage_anywhere_ends_in_a_number_or_a_value_error(
    value: object, changes: list[tuple[int, int]], length: int
) -> None:
    file = io.BytesIO()
    np.save(file, np.array(value))
    data = bytearray(file.getvalue())
    for place, byte in changes:
        data[min(place, len(data) - 1)] = byte
    with contextlib.suppress(ValueError):
        assert isinstance(read_whole_number(bytes(data[:length])), int)


@pytest.mark.parametrize("value", [3, "3", np.bytes_(b"3"), 3.0, np.uint8(3), np.array(3, dtype=">i4"), "3.0"])
def test_a_code_may_be_stored_as_any_kind_of_number_or_text(tmp_path: Path, value: object) -> None:
    root = trees.mini(tmp_path)
    np.save(root / "val_set/annotations/0_exp.npy", np.array(value))
    splits = opened(root, allow_missing_classes=True)
    assert splits.test.targets[0] == 3


def test_split_folders_within_folders_of_their_name(tmp_path: Path) -> None:
    trees.mini(tmp_path / "flat")
    for split in ("train_set", "val_set"):
        (tmp_path / "nested" / split).mkdir(parents=True)
        (tmp_path / "flat" / split).rename(tmp_path / "nested" / split / split)
    assert opened(tmp_path / "nested").train.class_counts == trees.TRAIN
    (tmp_path / "nested/train_set").rename(tmp_path / "nested/Training")
    (tmp_path / "nested/Training/train_set").rename(tmp_path / "nested/Training/Training")
    (tmp_path / "nested/val_set/val_set").rename(tmp_path / "nested/valid")
    (tmp_path / "nested/val_set").rmdir()
    assert opened(tmp_path / "nested").train.class_counts == trees.TRAIN


@pytest.mark.parametrize("part", ["val_set", "val_set/annotations", "val_set/images", "train_set", "train_set/images"])
def test_parts_of_the_small_release_that_are_missing(tmp_path: Path, part: str) -> None:
    root = trees.mini(tmp_path / "tree")
    (root / part).rename(tmp_path / "elsewhere")
    split, _, inside = part.partition("/")
    said = refused(root)
    assert (
        f"AffectNet-8 of 2021 (npy annotations, images of 224 px) without {root / split / (inside or 'images')}/"
        in said
    )


# --- AffectNet+ ------------------------------------------------------------------------------------------------------


def test_capitalised_keys_mean_the_same(tmp_path: Path) -> None:
    plain, capital = opened(trees.plus(tmp_path / "a")), opened(trees.plus(tmp_path / "b", capital=True))
    assert plain.train.digest() == capital.train.digest()
    inside = opened(tmp_path / "a/human_annotated")
    assert inside.train.digest() == plain.train.digest()
    assert "human_annotated/train_set/annotations: 20 image(s) of subset easy" in plain.notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON "),
        ("", "zero bytes"),
        ("[" * 100_000, "not JSON "),
        ("[1]", "a list, expected an object with human-label"),
        (json.dumps({"label": 1, "subset": "Easy"}), "no key 'human-label'; found keys: label, subset"),
        (json.dumps({"human-label": "grin"}), "human-label 'grin' is neither a code of AffectNet"),
        (json.dumps({"human-label": True}), "human-label True is neither a code"),
        (json.dumps({"human-label": None}), "human-label None is neither a code"),
        (json.dumps({"human-label": 1.5}), "human-label 1.5 is neither a code"),
        (json.dumps({"human-label": [1]}), r"human-label \[1\] is neither a code"),
        (json.dumps({"human-label": 12}), "expression 12, expected 0 to 10"),
    ],
    ids=range(11),
)
def test_json_that_is_no_annotation_is_refused(tmp_path: Path, content: str, message: str) -> None:
    root = trees.plus(tmp_path)
    (root / "human_annotated/train_set/annotations/3.json").write_text(content)
    with pytest.raises(DataError, match=rf"annotations: 1 invalid annotation\(s\):\n  3.json: {message}"):
        opened(root)


def test_a_split_of_affectnet_plus_that_is_missing(tmp_path: Path) -> None:
    root = trees.plus(tmp_path)
    (root / "human_annotated/validation_set").rename(tmp_path / "elsewhere")
    assert "AffectNet+ of 2024 (JSON annotations) without" in refused(root)


# --- class folders ---------------------------------------------------------------------------------------------------

OTHER_NAMES = ("0_neutral", "1_happiness", "2_sadness", "3 surprise", "fear", "Disgust", "anger", "7-Contempt")


@pytest.mark.parametrize(
    "splits", [("train", "valid"), ("Training", "validation"), ("train_set", "val_set"), ("train", "test")]
)
def test_the_names_of_splits_and_classes_vary(tmp_path: Path, splits: tuple[str, str]) -> None:
    found = opened(trees.class_folders(tmp_path, names=OTHER_NAMES, splits=splits))
    assert found.train.class_counts == trees.TRAIN
    assert found.origin == f"the copy's {splits[1]}/ folder"
    for target in range(8):  # by name, whatever the order on disk
        assert colour(found, target) == pytest.approx(trees.PALETTE[target], abs=4)


def test_class_folders_as_people_keep_them(tmp_path: Path) -> None:
    root = trees.class_folders(tmp_path / "archive")
    before = opened(root)
    (root / "train/__MACOSX/happy").mkdir(parents=True)
    (root / "train/@eaDir").mkdir()
    (root / "train/@eaDir/x.jpg").touch()
    (root / "train/empty").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    happy = next(path for path in (root / "train").iterdir() if code_of(path.name) == 1)
    inside = happy / "more/deep"
    inside.mkdir(parents=True)
    moved = next(path for path in happy.iterdir() if path.is_file())
    moved.rename(inside / moved.name)
    for place in (root, tmp_path):
        assert opened(place).train.class_counts == before.train.class_counts


def test_nested_split_folders_and_a_test_split_beside_validation(tmp_path: Path) -> None:
    root = trees.class_folders(tmp_path, splits=("train_set/train_set", "val_set/val_set"))
    trees.paint(root / "test/happy/0.jpg", 1, 77)
    splits = opened(root)
    assert splits.test.class_counts == trees.VAL
    assert "val_set/val_set: test/ is not used: AffectNet's validation split is the test split" in splits.notes


def test_class_folders_that_can_t_be_mapped_are_listed(tmp_path: Path) -> None:
    root = trees.class_folders(tmp_path / "a")
    for name in ("smiling", "5"):
        trees.paint(root / f"val/{name}/0.jpg", 1, 0)
    said = refused(root)
    assert said.startswith(f"{root}: 2 class folder(s) whose names are not AffectNet's:\n  val/5\n  val/smiling\n")
    assert "A number is not a name: some copies number classes alphabetically" in said
    numbered = trees.class_folders(tmp_path / "b", names=tuple("01234567"))
    assert "16 class folder(s) whose names" in refused(numbered)


def test_a_split_of_class_folders_that_is_missing(tmp_path: Path) -> None:
    root = trees.class_folders(tmp_path)
    (root / "val").rename(root / "later")
    assert "class folders of AffectNet without a val split; found train/; expected val/ or valid/ or" in refused(root)
    (root / "train").rename(root / "val")
    assert "class folders of AffectNet without a train split; found val/" in refused(root)
    trees.paint(root / "valid/happy/0.jpg", 1, 0)
    assert f"{root}: val/ and valid/ mean the same split; remove or merge one" in refused(root)


def test_names_of_classes() -> None:
    assert [code_of(name) for name in NAMES] == list(range(11))
    assert code_of("No Face") == code_of("non_face") == code_of("10_NonFace") == 10
    assert [code_of(name) for name in ("", "3", "happy face", "class001")] == [None] * 4


# --- other folders ---------------------------------------------------------------------------------------------------


def test_another_folder_is_told_what_was_looked_for_and_found(tmp_path: Path) -> None:
    for name in ("zebra.txt", "images/a.jpg", "more/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    said = refused(tmp_path)
    assert said.startswith(f"{tmp_path}: not a release of AffectNet. Looked for one of\n")
    for part in (
        "Manually_Annotated_file_lists/{training,validation}.csv",
        "<n>_exp.npy",
        "human_annotated/",
        "<class>",
    ):
        assert part in said
    assert said.endswith("Found: images/, more/, zebra.txt.")


def test_what_is_no_folder_and_two_releases(tmp_path: Path) -> None:
    assert "no such folder; expected one of" in refused(tmp_path / "gone")
    (tmp_path / "file").touch()
    assert "is a file, not a folder; expected one of" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").endswith("Found: nothing.")
    trees.full(trees.mini(tmp_path / "both"))
    assert "contains several releases of AffectNet: AffectNet, the full release of 2017" in refused(tmp_path / "both")


def test_options_without_meaning(tmp_path: Path) -> None:
    assert "--val does not apply to --data 'affectnet:" in refused(tmp_path, val="x.csv")
    assert "--label does not apply to --data 'affectnet:" in refused(tmp_path, label="mood")
    assert refused(tmp_path, classes=6) == "--classes must be 7 or 8, got 6"
    with pytest.raises(DataError, match="--classes does not apply to --data 'digits'; it selects the 7 or 8"):
        open_data("digits", classes=7)
