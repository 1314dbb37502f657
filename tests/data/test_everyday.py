"""Data as people keep it: manifests apart from images, labels that look equal, folders of many kinds."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from made_images import make, refused

from lossbench.data.face_expressions import CLASS_NAMES
from lossbench.data.folder import read_folder
from lossbench.data.inspect import inspect_splits
from lossbench.data.manifest import read_csv_manifest
from lossbench.data.sources import open_data, open_unchecked
from lossbench.data.split_names import split_of
from lossbench.errors import DataError

PETS = [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(6)]


def manifest(path: Path, rows: list[tuple[str, ...]], header: str = "path,label") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


# --- manifests apart from their images -------------------------------------------------------------------------------


def test_a_manifest_may_be_apart_from_its_images(tmp_path: Path) -> None:
    images = make(tmp_path / "images", *PETS)
    rows = [(str(images / name) if n % 2 else name, name.split("/")[0]) for n, name in enumerate(PETS)]
    path = manifest(tmp_path / "lists/all.csv", rows)
    assert "is outside the manifest's folder" in refused(f"csv:{path}")
    assert "or pass --root DIR" in refused(f"csv:{path}")
    splits = open_data(f"csv:{path}", root=str(images))
    assert set(splits.train.sample_ids) | set(splits.test.sample_ids) == set(PETS)  # relative, so that they may move
    assert splits.train.read(0).size == (4, 4)
    (images / "cat/0.png").unlink()
    (images / "cat/0.png").symlink_to(tmp_path / "elsewhere.png")
    make(tmp_path, "elsewhere.png")
    assert f"is outside the root {images}" in refused(f"csv:{path}", root=str(images))
    assert "no such folder; expected the folder that the paths" in refused(f"csv:{path}", root=str(tmp_path / "gone"))
    assert "--root and --path-column apply to manifests" in refused(f"folder:{images}", root=str(images))


def test_the_owner_allows_links_and_paths_that_leave_the_folder_of_a_manifest(tmp_path: Path) -> None:
    images, lists = make(tmp_path / "images", *PETS), tmp_path / "lists"
    for start in ("link", "../images"):
        path = manifest(lists / "all.csv", [(f"{start}/{name}", name.split("/")[0]) for name in PETS])
        (lists / "link").unlink(missing_ok=True)
        (lists / "link").symlink_to(images)
        assert "is outside the manifest's folder" in refused(f"csv:{path}")
        splits = open_data(f"csv:{path}", root=str(images))
        assert set(splits.train.sample_ids) | set(splits.test.sample_ids) == set(PETS)
        if start == "link":
            assert splits.notes == (f"{path}: 12 path(s) start from the manifest's folder, not from the root",)
        assert "12 problem(s)" in refused(f"csv:{path}", root=str(make(tmp_path / "other", "x.png")))


def test_another_path_column_is_chosen_by_name(tmp_path: Path) -> None:
    make(tmp_path, *PETS)
    path = manifest(tmp_path / "all.csv", [(name, name.split("/")[0]) for name in PETS], "pth,label")
    assert "Pass --path-column pth." in refused(f"csv:{path}")
    assert len(open_data(f"csv:{path}", path_column="pth").train) == 10


def test_a_row_that_stands_twice_is_dropped_and_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    found = read_csv_manifest(manifest(tmp_path / "m.csv", [("a.png", "x"), ("b.png", "y"), ("a.png", "x")]))
    assert (found.ids, found.notes) == (
        ["a.png", "b.png"],
        (f"{tmp_path}/m.csv: 1 row(s) that repeat another row are dropped",),
    )
    with pytest.raises(DataError, match=r"row 3: 'a.png': the same file as in row 2, with other values"):
        read_csv_manifest(manifest(tmp_path / "m.csv", [("a.png", "x"), ("a.png", "y")]))


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    ["Cat", "CAT", "'cat'", "“cat”", "c\u0061\u0301t", "straße", "\uff43\uff41\uff54"],
    ids=["case", "capitals", "quotes", "curly", "NFD", "ss", "wide"],
)
def test_labels_that_look_equal_are_refused_or_folded(tmp_path: Path, other: str) -> None:
    label = {"c\u0061\u0301t": unicodedata.normalize("NFC", other), "straße": "STRASSE"}.get(other, "cat")
    make(tmp_path, *PETS)
    labels = [label] * 5 + [other] + ["dog"] * 6
    path = manifest(tmp_path / "all.csv", list(zip(PETS, labels, strict=True)))
    said = refused(f"csv:{path}")
    assert "1 group(s) of labels that differ only in case, spaces, quotes or Unicode form" in said
    assert f"{label!r} (5 image(s))" in said
    assert f"{other!r} (1 image(s))" in said
    assert (r"written as 'ca\u0301t'" in said) is (len(other) == 4 and "\u0301" in other)
    assert inspect_splits(open_unchecked(f"csv:{path}"), f"csv:{path}")["problems"] == [said]
    splits = open_data(f"csv:{path}", fold_labels=True)
    assert set(splits.train.class_names) == {label, "dog"}


def test_labels_that_look_equal_are_seen_across_splits_and_folders(tmp_path: Path) -> None:
    make(tmp_path, *(f"train/{name}" for name in PETS), *(f"val/{name.title()}" for name in PETS))
    assert "'cat' (6 image(s)), 'Cat' (6 image(s))" in refused(f"folder:{tmp_path}")
    splits = open_data(f"folder:{tmp_path}", fold_labels=True)
    assert splits.test.class_counts == (6, 6)


@pytest.mark.parametrize("value", ["nan", "NULL", "N/A", "#DIV/0!"])
def test_a_missing_value_is_no_class(tmp_path: Path, value: str) -> None:
    make(tmp_path, *PETS)
    path = manifest(tmp_path / "all.csv", list(zip(PETS, ["cat"] * 5 + [value] + ["dog"] * 6, strict=True)))
    assert f"label {value!r} (1 image(s)) is how missing values are written" in refused(f"csv:{path}")


def test_whole_numbers_are_ordered_by_value(tmp_path: Path) -> None:
    names = [f"{label}/{n}.png" for label in (0, 1, 2, 10, 11) for n in range(3)]
    splits = open_data(f"folder:{make(tmp_path, *names)}")
    assert splits.train.class_names == ("0", "1", "2", "10", "11")


# --- folders ---------------------------------------------------------------------------------------------------------


def test_images_in_folders_of_a_class_belong_to_it(tmp_path: Path) -> None:
    make(tmp_path, *PETS, "cat/a/1.png", "cat/a/b/2.png")
    assert read_folder(tmp_path).labels.count("cat") == 8
    (tmp_path / "cat/a/loop").symlink_to(tmp_path / "cat")
    assert read_folder(tmp_path).labels.count("cat") == 8


def test_what_systems_leave_behind_is_no_class(tmp_path: Path) -> None:
    left = ["__MACOSX/cat/._0.png", "@eaDir/x.png", "@Recycle/x.png", ".cache/y.png", "cat/@eaDir/0.png", "cat/._1.png"]
    make(tmp_path, *PETS, *left)
    (tmp_path / "empty/deep").mkdir(parents=True)
    found = read_folder(tmp_path)
    assert sorted(found.ids) == PETS
    assert found.notes == (f"{tmp_path}: ignored 1 x empty folder empty/",)
    for name in PETS:
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match="its folders contain no images"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("train_set", "test_set"), ("Training", "PublicTest"), ("TRAIN", "PrivateTest"),
     ("training_data", "validation-images"), ("seg_train", "seg_test"), ("train-dataset", "dev"),
     ("images_train", "Evaluation Set"), ("train2017", "val2017")],
)  # fmt: skip
def test_splits_have_one_list_of_names(tmp_path: Path, train: str, test: str) -> None:
    make(tmp_path, *(f"{split}/{name}" for split in (train, test) for name in PETS))
    splits = open_data(f"folder:{tmp_path}")
    assert (len(splits.train), len(splits.test)) == (12, 12)
    rows = [(f"{split}/{name}", name.split("/")[0], split) for split in (train, test) for name in PETS]
    splits = open_data(f"csv:{manifest(tmp_path / 'all.csv', rows, 'path,label,split')}")
    assert (len(splits.train), len(splits.test)) == (12, 12)
    assert split_of("cat") is None


def test_splits_may_be_nested_as_archives_unpack(tmp_path: Path) -> None:
    make(tmp_path, *(f"{split}/{split}/{name}" for split in ("train_set", "test_set") for name in PETS))
    assert len(open_data(f"folder:{tmp_path}").test) == 12


# --- --val and ~ -----------------------------------------------------------------------------------------------------


def test_val_takes_what_data_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, more = make(tmp_path / "a", *PETS), make(tmp_path / "b", *PETS)
    listed = manifest(more / "val.csv", [(name, name.split("/")[0]) for name in PETS])
    for val in (f"folder:{more}", more, f"csv:{listed}", listed):
        assert len(open_data(f"folder:{images}", val=str(val)).test) == 12
    monkeypatch.setenv("HOME", str(tmp_path))
    for val in ("~/b", "folder:~/b", "csv:~/b/val.csv"):
        assert len(open_data("folder:~/a", val=val).test) == 12
    for val in ("x:y", "", " "):
        said = refused(f"folder:{images}", val=val)
        assert "expected csv:PATH, folder:PATH, or the path of a manifest or folder" in said


def test_val_may_be_another_source_whose_classes_have_the_same_names(tmp_path: Path) -> None:
    faces = [f"{label}/{n}.png" for label in CLASS_NAMES[:7] for n in range(2)]
    own = make(tmp_path / "own", *faces)
    make(tmp_path / "copy", *(f"{split}/{name}" for split in ("train", "val") for name in faces))
    splits = open_data(f"folder:{own}", val=f"affectnet:{tmp_path}/copy")
    assert splits.train.class_names == splits.test.class_names == tuple(sorted(CLASS_NAMES[:7]))
    assert splits.test.class_counts == (2,) * 7
    assert splits.test.class_names[splits.test.targets[0]] == Path(splits.test.sample_ids[0]).parts[1]
    assert "10 label(s) that do not occur in" in refused(f"folder:{own}", val="digits")
