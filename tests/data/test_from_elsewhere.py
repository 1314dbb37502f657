"""Data from other programs and systems: spreadsheets, Windows, archives, phones, downloads."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from made_images import make, refused

from lossbench.data.digests import manifest_with_digests
from lossbench.data.sources import open_data
from lossbench.errors import DataError
from lossbench.faces.photographs import list_photographs

PETS = [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(3)]


def table(path: Path, change: Callable[[str, str], str], header: str = "path,label") -> Path:
    """Write a manifest of PETS with rows made by a function of path and label."""
    make(path.parent, *PETS)
    lines = [header, *(change(name, name[:3]) for name in PETS)]
    path.write_bytes(("\n".join(lines) + "\n").encode())
    return path


# --- manifests -------------------------------------------------------------------------------------------------------

ACCEPTED: dict[str, tuple[Callable[[str, str], str], str]] = {
    "the index of pandas": (lambda name, label: f"7,{name},{label}", ",path,label"),
    "backslashes": (lambda name, label: f"{name.replace('/', chr(92))},{label}", "path,label"),
    "spaces around paths": (lambda name, label: f" {name} ,{label}", "path,label"),
    "blank columns": (lambda name, label: f"{name},{label},,", "path,label"),
    "blank columns with a header": (lambda name, label: f"{name},{label},", "path,label,"),
    "blank rows": (lambda name, label: f"{name},{label}\n , \n,", "path,label"),
    "a row twice with another index": (lambda name, label: f"1,{name},{label}\n2,{name},{label} ", ",path,label"),
    "line breaks in quotes": (lambda name, label: f'{name},{label},"a\nb"', "path,label,note"),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_manifests_of_other_programs_are_read(tmp_path: Path, kind: str) -> None:
    path = table(tmp_path / "my.csv", *ACCEPTED[kind])
    splits = open_data(f"csv:{path}")
    assert sorted({*splits.train.sample_ids, *splits.test.sample_ids}) == PETS
    assert splits.train.class_names == ("cat", "dog")
    assert bool(splits.notes) is (kind in ("backslashes", "spaces around paths", "a row twice with another index"))
    assert len(list(csv.reader(manifest_with_digests(path).splitlines(keepends=True)))) == 7


def test_optional_columns_are_found_in_any_case(tmp_path: Path) -> None:
    """A manifest without them would be read, too, and its splits and persons would be lost silently."""
    path = table(
        tmp_path / "my.csv",
        lambda name, label: f"{name},{label},{'test' if '2' in name else 'train'},p",
        "path,label,Split,PERSON",
    )
    splits = open_data(f"csv:{path}")
    assert (splits.origin, len(splits.test)) == ("the manifest's split column (test)", 2)
    assert splits.train.persons is not None


def test_a_file_may_be_named_with_a_backslash_or_a_space(tmp_path: Path) -> None:
    names = ["a\\b.png", " c.png", "d.png"]
    make(tmp_path, *names)
    (tmp_path / "my.csv").write_text("path,label\n" + "".join(f"{name},{n}\n" for n, name in enumerate(names)))
    assert "each of its 3 classes has a single image" in refused(f"csv:{tmp_path}/my.csv")


def test_digests_and_crops_take_the_options_that_their_errors_name(tmp_path: Path) -> None:
    path = table(tmp_path / "a/my.csv", lambda name, label: f"{name},{label}", "file,kind")
    options = {"path_column": "file", "root": str(path.parent)}
    listed = path.rename(tmp_path / "my.csv")
    text = manifest_with_digests(listed, "kind", path_column="file", root=path.parent)
    assert text.startswith("file,kind,sha256\ncat/0.png,cat,")
    assert len(list_photographs(str(listed), label="kind", **options).rows) == 6
    with pytest.raises(DataError, match="apply to manifests, not to the folder"):
        list_photographs(str(tmp_path), **options)


def test_repeated_rows_are_left_out_of_digests(tmp_path: Path) -> None:
    path = table(tmp_path / "my.csv", lambda name, label: f"{name},{label}\n{name},{label}")
    assert manifest_with_digests(path).count("\n") == 7


REFUSED: dict[str, tuple[Callable[[str, str], str], str, str]] = {
    "semicolons": (lambda name, label: f"{name};{label}", "path;label", "delimiter=';'))\" > new.csv"),
    "other case": (lambda name, label: f"{name},{label}", "Path,label", "Pass --path-column Path."),
    "another label column": (lambda name, label: f"{name},{label}", "path,class", "Pass --label class."),
    "no header": (lambda name, label: f"{name},{label}", "cat/9.png,cat", "The first row seems to be an image's"),
    "addresses": (lambda name, label: f"https://a.b/{name},{label}", "path,label", "They are addresses: download"),
    "Windows": (lambda name, label: f"C:\\me\\{name},{label}", "path,label", "They are paths of a Windows computer"),
    "no extension": (lambda name, label: f"{name[:-4]},{label}", "path,label", "is missing: cat/0.png exists."),
    "a folder too many": (lambda name, label: f"x/y/{name},{label}", "path,label", "remove 'x/y/' from the start"),
    "a path of another computer": (lambda name, label: f"/home/x/{name},{label}", "path,label", "remove '/home/x/'"),
    "numbers": (lambda name, label: f"{name},0{'.0' if '1' in name else ''}", "path,label", "or are one number"),
    "zeros in front": (lambda name, label: f"{name},{'07' if '1' in name else '7'}", "path,label", "or are one number"),
    "marks without width": (
        lambda name, label: f"{name},{label}{chr(0x200B) if '1' in name else ''}", "path,label", "that differ only in"
    ),
    "a spreadsheet's error": (lambda name, label: f"{name},#N/A", "path,label", "is how missing values are written"),
    "names that differ in case": (lambda name, label: f"{name},{label},,", "path,label,split,Split", "rename one of "),
    "measurements": (lambda name, label: f"{name},{hash(name)}.5", "path,label", "has a single image, so no test"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_must_be_changed_is_said(tmp_path: Path, kind: str) -> None:
    change, header, said = REFUSED[kind]
    assert said in refused(f"csv:{table(tmp_path / 'my.csv', change, header)}")


@pytest.mark.parametrize("where", ["above", "beside", "in a folder beside"])
def test_the_folder_that_paths_start_from_is_found(tmp_path: Path, where: str) -> None:
    places = {"above": "", "beside": "lists/my images", "in a folder beside": "images"}
    root = make(tmp_path / places[where], *PETS)
    path = tmp_path / "lists/my.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("path,label\n" + "".join(f"{name},{name[:3]}\n" for name in PETS))
    said = refused(f"csv:{path}")
    assert said.endswith(f"pass --root '{root}'" if " " in str(root) else f"pass --root {root}")
    assert len(open_data(f"csv:{path}", root=str(root)).train) == 4


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", "path,label\n".encode("utf-16"), "is text in UTF-16; expected a CSV file. Convert it: iconv"),
        ("m.csv", "path,label\nM\u00fcde.png,x\n".encode("latin-1"), "If it comes from Excel on Windows: iconv"),
        ("m.xlsx", b"PK\x03\x04", "is an Excel workbook; expected a CSV file. In Excel, save it as"),
        ("m.zip", b"PK\x03\x04", "is a ZIP archive; unpack it first; expected a CSV file"),
        ("m.parquet", b"PAR1", "is a Parquet file; expected a CSV file. Convert it"),
        ("m.csv", b"<html>Sign in", "is a web page, perhaps a download that required a login"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_csv_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refused(f"csv:{tmp_path / name}")


# --- options within a source -----------------------------------------------------------------------------------------


def test_a_source_holds_its_own_root_and_columns(tmp_path: Path) -> None:
    for split in ("a", "b"):
        make(tmp_path / split, *PETS)
        rows = "".join(f"{name},{name[:3]}\n" for name in PETS)
        (tmp_path / f"{split}.csv").write_text(f"filename,kind\n{rows}")
    spec = "csv:{0}/{1}.csv?root={0}/{1}&path-column=filename&label=kind"
    splits = open_data(spec.format(tmp_path, "a"), val=spec.format(tmp_path, "b"))
    assert (len(splits.train), len(splits.test)) == (6, 6)
    assert (tmp_path / "b/cat/0.png").samefile((splits.test.paths or ())[0])
    options = {"path_column": "filename", "label": "kind"}
    splits = open_data(f"csv:{tmp_path}/a.csv?root={tmp_path}/a", val=f"{tmp_path}/b.csv?root={tmp_path}/b", **options)
    assert len(splits.test) == 6
    (tmp_path / "odd?root=x.csv").write_text("path,label\n")
    assert "odd?root=x.csv: no rows" in refused(f"csv:{tmp_path}/odd?root=x.csv")
    assert "unknown option 'rot'. Did you mean 'root'?" in refused(f"csv:{tmp_path}/a.csv?rot=x")
    assert "expected one value of root" in refused(f"csv:{tmp_path}/a.csv?root=")


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "inside"),
    [
        ([f"archive/My Data/{name}" for name in PETS], "archive/My Data"),
        ([f"archive/{split}/{name}" for split in ("train", "test") for name in PETS], "archive"),
    ],
    ids=["classes", "splits"],
)
def test_folders_around_the_classes_are_named(tmp_path: Path, names: list[str], inside: str) -> None:
    make(tmp_path, *names, "__MACOSX/archive/._x.png")
    assert refused(f"folder:{tmp_path}").endswith(f"Did you mean 'folder:{tmp_path / inside}'?")
    assert len(open_data(f"folder:{tmp_path / inside}").train.class_names) == 2


def test_a_test_folder_without_labels_is_explained(tmp_path: Path) -> None:
    make(tmp_path, *(f"train/{name}" for name in PETS), "test/1.png")
    said = refused(f"folder:{tmp_path}")
    assert said.endswith(f"to carve the test split from training, pass --data folder:{tmp_path / 'train'}")
    assert len(open_data(f"folder:{tmp_path / 'train'}").train) == 4


def test_files_that_are_no_images_are_counted_by_kind(tmp_path: Path) -> None:
    make(tmp_path, *PETS, "cat/a.HEIC")
    assert open_data(f"folder:{tmp_path}").notes == (
        f"{tmp_path}: ignored 1 x .heic (images of a kind that is not read: convert them)",
    )
    for name in PETS[:3]:
        (tmp_path / name).unlink()
    assert "no images in the class folder(s) cat (1 x .heic (images" in refused(f"folder:{tmp_path}")


def test_a_link_to_a_class_that_is_gone_is_refused(tmp_path: Path) -> None:
    make(tmp_path, *PETS)
    (tmp_path / "emu").symlink_to(tmp_path / "not-mounted")
    assert "emu leads nowhere; it may be a class folder whose disk is not mounted" in refused(f"folder:{tmp_path}")


def test_a_path_may_be_written_as_an_address_or_after_a_space(tmp_path: Path) -> None:
    make(tmp_path, *PETS)
    for spec in (f"folder: {tmp_path}", f"folder:file://{tmp_path}", f"folder:{tmp_path}//"):
        assert len(open_data(spec).train) == 4


def test_many_absent_classes_are_not_all_listed(tmp_path: Path) -> None:
    make(tmp_path, *(f"train/class{n:03}/0.png" for n in range(40)), "val/class000/1.png")
    said = refused(f"folder:{tmp_path}")
    assert "no test image of class001, " in said
    assert "class020, … (39 in all)" in said
    assert os.linesep not in said
