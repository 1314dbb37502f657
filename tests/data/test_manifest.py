"""Reading csv manifests: what is accepted, and that all offending rows are named."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossbench.data.manifest import read_csv_manifest
from lossbench.errors import DataError


def write(folder: Path, text: str, *files: str, name: str = "my.csv") -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"not decoded here")
    path = folder / name
    path.write_bytes(text.encode())
    return path


def message(path: Path, label: str = "label") -> str:
    with pytest.raises(DataError) as caught:
        read_csv_manifest(path, label)
    return str(caught.value)


def test_reads_paths_relative_to_the_manifest(tmp_path: Path) -> None:
    path = write(tmp_path, "path,label\nimages/a.png,cat\nb.png,dog\n", "images/a.png", "b.png")
    manifest = read_csv_manifest(path)
    assert manifest.ids == ["images/a.png", "b.png"]
    assert manifest.files == [tmp_path.resolve() / "images/a.png", tmp_path.resolve() / "b.png"]
    assert manifest.labels == ["cat", "dog"]
    assert manifest.splits is None
    assert manifest.persons is None
    assert len(manifest) == 2


def test_excel_writes_bom_crlf_quotes_and_blank_lines(tmp_path: Path) -> None:
    text = '\ufeffpath,"label"\r\n"a, b.png"," cat "\r\n\r\n"say ""hi"".png",dog\r\n'
    manifest = read_csv_manifest(write(tmp_path, text, "a, b.png", 'say "hi".png'))
    assert manifest.ids == ["a, b.png", 'say "hi".png']
    assert manifest.labels == ["cat", "dog"]


def test_other_columns_are_kept_out_and_another_label_column_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path, "age,path,label,mood\n3,a.png,cat,glad\n", "a.png")
    assert read_csv_manifest(path).labels == ["cat"]
    assert read_csv_manifest(path, "mood").labels == ["glad"]


@pytest.mark.parametrize("column", ["person", "group"])
def test_persons(tmp_path: Path, column: str) -> None:
    path = write(tmp_path, f"path,label,{column}\na.png,cat,ann\nb.png,cat,\n", "a.png", "b.png")
    assert f"row 3: 'b.png': empty '{column}'" in message(path)
    path = write(tmp_path, f"path,label,{column}\na.png,cat,ann\nb.png,cat,bob\n")
    assert read_csv_manifest(path).persons == ["ann", "bob"]


def test_splits_have_one_spelling(tmp_path: Path) -> None:
    names = ["train", "val", "valid", "validation", "Test"]
    rows = "".join(f"{n}.png,cat,{n}\n" for n in names)
    path = write(tmp_path, "path,label,split\n" + rows, *(f"{n}.png" for n in names))
    manifest = read_csv_manifest(path)
    assert manifest.splits == ["train", "val", "val", "val", "test"]
    assert manifest.of_split("val").ids == ["val.png", "valid.png", "validation.png"]


def test_every_unknown_split_is_named_once(tmp_path: Path) -> None:
    path = write(tmp_path, "path,label,split\na.png,x,odd\nb.png,x,odd\nc.png,x,\n", "a.png", "b.png", "c.png")
    said = message(path)
    assert "split 'odd' in 2 row(s): not one of train, training, val, valid, validation, dev, " in said
    assert "split '' in 1 row(s)" in said


def test_all_offending_rows_are_listed_at_once(tmp_path: Path) -> None:
    text = "path,label\na.png,cat\ngone.png,dog\na.png,cat\nb.png,\n./a.png,dog\nb.png\n,cat\nimages,cat\n"
    said = message(write(tmp_path, text, "a.png", "b.png", "images/c.png"))
    assert said.startswith(f"{tmp_path / 'my.csv'}: 6 problem(s) in its rows (paths are relative to {tmp_path}):")
    for row in (
        "row 3: 'gone.png': no such file",
        "row 5: 'b.png': empty 'label'",
        "row 6: './a.png': the same file as in row 2",
        "row 7: 1 fields, but the header has 2",
        "row 8: '': empty path",
        "row 9: 'images': not a file",
    ):
        assert row in said
    assert said.endswith("Correct or remove these rows.")


def test_a_long_list_is_cut_with_a_count(tmp_path: Path) -> None:
    said = message(write(tmp_path, "path,label\n" + "".join(f"{n}.png,cat\n" for n in range(60))))
    assert "row 51: '49.png'" in said
    assert "'50.png'" not in said
    assert "… and 10 more" in said


def test_paths_that_leave_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"x")
    data = tmp_path / "data"
    path = write(data, "", "a.png", "sub/b.png")
    (data / "link.png").symlink_to(outside)
    (data / "up").symlink_to(tmp_path)
    (data / "data2").mkdir()
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2/c.png").write_bytes(b"x")
    names = [str(outside), "../secret.png", "sub/../../secret.png", "link.png", "up/secret.png", "../data2/c.png", ".."]
    path.write_text("path,label\n" + "".join(f"{name},x\n" for name in names))
    said = message(path)
    for row, name in enumerate(names[:-1], start=2):
        assert f"row {row}: {name!r}: is outside the manifest's folder (it resolves to " in said
    assert f"(it resolves to {outside.resolve()}); move the images below that folder" in said
    assert "row 8: '..': not a file" in said


def test_paths_that_stay_within_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "", "a.png", "sub/b.png", "c.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "c.png")
    names = [str(tmp_path / "a.png"), "sub/../sub/b.png", "link.png"]
    path.write_text("path,label\n" + "".join(f"{name},x\n" for name in names))
    assert [file.name for file in read_csv_manifest(path).files] == ["a.png", "b.png", "c.png"]
    path.write_text("path,label\nlink.png,x\nc.png,x\n")
    assert [file.name for file in read_csv_manifest(path).files] == ["c.png"]
    path.write_text("path,label\nlink.png,x\nc.png,y\n")
    assert "row 3: 'c.png': the same file as in row 2, with other values" in message(path)


def test_a_link_that_leads_nowhere_and_a_nul(tmp_path: Path) -> None:
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    said = message(write(tmp_path, "path,label\ndead.png,x\nloop.png,x\na\0b.png,x\n" + "n" * 300 + ",x\n"))
    assert "row 2: 'dead.png': no such file" in said
    assert "row 3: 'loop.png': " in said
    assert "row 4: 'a\\x00b.png': " in said
    assert "file name too long" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty; expected a header with the columns path,label"),
        ("path,label\n", "no rows below the header; expected one row per image"),
        ("path,labl\n", "no column 'label'; found columns: path, labl; expected: path, label. Did you mean 'labl'?"),
        ("file,label\n", "no column 'path'; found columns: file, label; expected: path, label. Known: file, label."),
        ("path;label\na;b\n", "Fields are separated by commas, not ';'."),
        ("path\tlabel\n", "Fields are separated by commas, not '\\t'."),
        ("path,label,label\n", "column 'label' occurs more than once"),
        ('path,label\n"a"b,c\n', "not CSV after line 1: "),
        ("path,label\n" + "x" * 200_000 + ",c\n", "field larger than field limit"),
    ],
)
def test_files_that_are_no_manifest(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    said = message(path)
    assert said.startswith(f"{path}: ")
    assert expected in said


def test_a_missing_label_column_names_the_option(tmp_path: Path) -> None:
    said = message(write(tmp_path, "path,expression\n"), "expresion")
    assert "Did you mean 'expression'? Pass --label COLUMN to use another label column." in said


def test_missing_folder_and_encoding(tmp_path: Path) -> None:
    assert message(tmp_path / "gone.csv").endswith("no such manifest; expected a CSV file with columns path,label")
    assert f"Did you mean 'folder:{tmp_path}'?" in message(tmp_path)
    write(tmp_path, "", name="train.csv")
    assert f"Did you mean 'csv:{tmp_path}/train.csv'?" in message(tmp_path)
    (tmp_path / "latin.csv").write_bytes("path,label\ncafé.png,x\n".encode("latin-1"))
    assert "not UTF-8 text" in message(tmp_path / "latin.csv")


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
labels = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10).filter(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(names, labels), min_size=1, max_size=8, unique_by=lambda row: row[0].casefold()))
def test_a_written_manifest_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("trip")
    (folder / "images").mkdir()
    for name, _ in rows:
        (folder / "images" / name).write_bytes(b"x")
    with open(folder / "my.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((f"images/{name}", label) for name, label in rows)])
    manifest = read_csv_manifest(folder / "my.csv")
    assert manifest.ids == [f"images/{name}" for name, _ in rows]
    assert manifest.labels == [label.strip() for _, label in rows]
    assert [os.path.basename(file) for file in manifest.files] == [name for name, _ in rows]


def test_ten_thousand_rows_take_no_time(tmp_path: Path) -> None:
    files = [f"d{n % 10}/{n}.png" for n in range(10_000)]
    path = write(tmp_path, "path,label\n" + "".join(f"{file},x\n" for file in files), *files)
    began = time.process_time()
    assert len(read_csv_manifest(path)) == 10_000
    assert time.process_time() - began < 2  # 0.15 s; reading each folder for each row would take minutes
