"""`--data SPEC` and `--val`: which images are trained on, which are evaluated, and what is refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lossbench.data.sources import SOURCES, Splits, open_data
from lossbench.errors import DataError

FACES8 = Path(__file__).parents[3] / "shared/data/faces8"


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)


def manifest(path: Path, rows: list[tuple[str, ...]], header: str = "path,label") -> Path:
    """A csv file and the images that it names."""
    for row in rows:
        image(path.parent / row[0])
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]))
    return path


def pets(prefix: str, count: int = 10) -> list[tuple[str, ...]]:
    return [(f"{prefix}/{label}{n}.png", label) for label in ("dog", "cat") for n in range(count)]


def refused(spec: str, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        open_data(spec, **options)  # type: ignore[arg-type]
    return str(caught.value)


# --- csv -------------------------------------------------------------------------------------------------------------


def test_twenty_percent_are_carved_where_nothing_else_is_said(tmp_path: Path) -> None:
    path = manifest(tmp_path / "my.csv", pets("p"))
    splits = open_data(f"csv:{path}", seed=5)
    assert splits.origin == "20% carved from training, stratified"
    assert splits.notes == ()
    assert splits.train.class_names == ("cat", "dog")
    assert splits.train.class_counts == (8, 8)
    assert splits.test.class_counts == (2, 2)
    assert splits.train.name == f"csv:{path}"
    assert splits.test.name == f"csv:{path} [carved]"
    assert splits.train.read(0).getpixel((0, 0)) == (255, 0, 0)
    assert splits.test.digest() == open_data(f"csv:{path}", seed=6).test.digest()  # not the run's seed


def test_carving_is_by_person_where_given(tmp_path: Path) -> None:
    rows = [(*row, f"p{n % 10}") for n, row in enumerate(pets("p", 20))]
    splits = open_data(f"csv:{manifest(tmp_path / 'my.csv', rows, 'path,label,person')}")
    assert splits.origin == "20% carved from training, stratified, by person"
    assert splits.train.persons is not None
    assert splits.test.persons is not None
    assert not set(splits.train.persons) & set(splits.test.persons)
    assert splits.test.class_counts == (4, 4)


def test_val_csv_beside_train_csv(tmp_path: Path) -> None:
    path = manifest(tmp_path / "train.csv", pets("t"))
    beside = manifest(tmp_path / "val.csv", pets("v", 3))
    splits = open_data(f"csv:{path}")
    assert splits.origin == f"{beside}, next to train.csv"
    assert splits.train.class_counts == (10, 10)
    assert splits.test.class_counts == (3, 3)
    path.rename(tmp_path / "other.csv")
    assert open_data(f"csv:{tmp_path / 'other.csv'}").origin.startswith("20% carved")


def test_the_split_column_goes_before_val_csv_and_the_option_before_both(tmp_path: Path) -> None:
    rows = [(*row, "train") for row in pets("t")] + [(*row, "valid") for row in pets("c", 2)]
    path = manifest(tmp_path / "train.csv", rows, "path,label,split")
    manifest(tmp_path / "val.csv", pets("v", 3))
    given = manifest(tmp_path / "given.csv", pets("g", 4))
    splits = open_data(f"csv:{path}")
    assert splits.origin == "the manifest's split column (val)"
    assert splits.train.class_counts == (10, 10)
    assert splits.test.class_counts == (2, 2)
    splits = open_data(f"csv:{path}", val=str(given))
    assert splits.origin == f"--val {given}"
    assert splits.train.class_counts == (10, 10)
    assert splits.test.class_counts == (4, 4)
    assert splits.notes == (
        f"csv:{path}: 4 image(s) of splits other than train are not used, because of --val {given}",
    )


def test_one_manifest_for_both_options(tmp_path: Path) -> None:
    rows = [(*row, "train") for row in pets("t")] + [(*row, "test") for row in pets("c", 2)]
    path = manifest(tmp_path / "all.csv", rows, "path,label,split")
    assert open_data(f"csv:{path}", val=str(path)).test.class_counts == (2, 2)


def test_test_is_evaluated_and_val_is_left_alone(tmp_path: Path) -> None:
    rows = [(*row, split) for split in ("train", "val", "test") for row in pets(split, 3)]
    splits = open_data(f"csv:{manifest(tmp_path / 'my.csv', rows, 'path,label,split')}")
    assert splits.origin == "the manifest's split column (test)"
    assert all(name.startswith("test/") for name in splits.test.sample_ids)
    assert splits.notes == (
        f"csv:{tmp_path}/my.csv: 6 image(s) of split 'val' are not used; split 'test' is the test split",
    )


def test_a_split_column_that_lacks_a_side(tmp_path: Path) -> None:
    path = manifest(tmp_path / "a.csv", [(*row, "train") for row in pets("t")], "path,label,split")
    assert "no images in split val (or valid, validation, test); add some" in refused(f"csv:{path}")
    path = manifest(tmp_path / "b.csv", [(*row, "val") for row in pets("t")], "path,label,split")
    assert "no images in split train; add some" in refused(f"csv:{path}")


def test_another_label_column(tmp_path: Path) -> None:
    rows = [(*row, f"size{n % 2}") for n, row in enumerate(pets("p"))]
    path = manifest(tmp_path / "my.csv", rows, "path,label,size")
    assert open_data(f"csv:{path}", label="size").train.class_names == ("size0", "size1")


def test_a_label_that_training_lacks(tmp_path: Path) -> None:
    path = manifest(tmp_path / "train.csv", pets("t"))
    manifest(tmp_path / "val.csv", [*pets("v", 2), ("v/cow.png", "cow")])
    assert f"1 label(s) that do not occur in csv:{path}:\n  'cow' (1 image(s))" in refused(f"csv:{path}")


def test_a_class_absent_from_evaluation(tmp_path: Path) -> None:
    path = manifest(tmp_path / "train.csv", pets("t"))
    manifest(tmp_path / "val.csv", [row for row in pets("v") if row[1] == "cat"])
    assert "no test image of dog" in refused(f"csv:{path}")
    splits = open_data(f"csv:{path}", allow_missing_classes=True)
    assert splits.test.class_counts == (10, 0)
    assert splits.test.class_names == ("cat", "dog")
    assert len(splits.notes) == 1


def test_the_same_file_in_both(tmp_path: Path) -> None:
    path = manifest(tmp_path / "train.csv", pets("t"))
    manifest(tmp_path / "val.csv", pets("t", 1))
    assert "2 file(s) are also in" in refused(f"csv:{path}")


def test_a_table_of_files_can_go_to_worker_processes(tmp_path: Path) -> None:
    manifest(tmp_path / "train.csv", pets("t"))
    manifest(tmp_path / "val.csv", pets("v"))
    read = pickle.loads(pickle.dumps(open_data(f"csv:{tmp_path}/train.csv").train.read))
    assert read(3).size == (4, 4)


# --- folder ----------------------------------------------------------------------------------------------------------


def test_class_folders_are_carved(tmp_path: Path) -> None:
    for label in ("dog", "cat"):
        for n in range(10):
            image(tmp_path / label / f"{n}.png")
    (tmp_path / "cat/notes.txt").touch()
    splits = open_data(f"folder:{tmp_path}")
    assert splits.train.class_counts == (8, 8)
    assert splits.train.class_names == ("cat", "dog")
    assert splits.notes == (f"{tmp_path}: ignored 1 x .txt",)


def test_the_val_subfolder_and_the_val_option(tmp_path: Path) -> None:
    for split, count in (("data/train", 5), ("data/validation", 2), ("given", 3)):
        for label in ("dog", "cat"):
            for n in range(count):
                image(tmp_path / split / label / f"{n}.png")
    splits = open_data(f"folder:{tmp_path / 'data'}")
    assert splits.origin == "the folder's subfolder (val)"
    assert splits.train.class_counts == (5, 5)
    assert splits.test.class_counts == (2, 2)
    splits = open_data(f"folder:{tmp_path / 'data'}", val=str(tmp_path / "given"))
    assert splits.origin == f"--val {tmp_path / 'given'}"
    assert splits.train.class_counts == (5, 5)
    assert splits.test.class_counts == (3, 3)
    assert "--label does not apply" in refused(f"folder:{tmp_path / 'data'}", label="mood")


# --- embedded data and specs -----------------------------------------------------------------------------------------


def test_digits_with_dials() -> None:
    splits = open_data("digits(imbalance=10, test_fraction=0.5)", seed=2)
    assert splits.train.class_counts[2] == max(splits.train.class_counts)
    assert splits.train.details == {"imbalance": 10, "test_fraction": 0.5}
    assert splits.origin == "test split of the dataset"


def test_synthetic_with_dials() -> None:
    splits = open_data("synthetic(images=100, test_images_per_class=2, overlap=0)")
    assert len(splits.train) == 100
    assert len(splits.test) == 16


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("digit", "unknown source 'digit'. Did you mean 'digits'? --data accepts: synthetic(name=value, ...), "),
        (
            "imagenet:/x",
            "unknown source 'imagenet'. Known: affectnet, csv, digits, ferplus, folder, rafdb, synthetic. --data",
        ),
        ("", "unknown source ''"),
        ("~nobody/x", "unknown source '~nobody/x'"),
        ("x" * 5000, "unknown source 'xxx"),
        ("csv:" + "x" * 5000, "cannot read: File name too long"),
        ("csv:a\0b", "cannot read: embedded null byte"),
        ("folder:" + "x" * 5000, "no such folder"),
        ("csv", "'csv' needs a path and has no parameters; expected 'csv:PATH'"),
        ("csv:", "'csv' needs a path"),
        ("csv(a=1):b.csv", "'csv' needs a path and has no parameters"),
        ("digits:/x", "'digits' does not take a path; write its parameters as 'digits(name=value, ...)'"),
        ("digits(imbalanse=3)", "digits has no parameter 'imbalanse'. Did you mean 'imbalance'?"),
        ("digits(imbalance=many)", "imbalance must be of type float; got 'many'"),
        ("digits(imbalance=true)", "imbalance must be of type float; got True"),
        ("synthetic(images=10.5)", "images must be of type int; got 10.5"),
        ("synthetic(imbalance=many)", "imbalance must be of type float | None; got 'many'"),
        ("digits(imbalance=0)", "imbalance must be between 1 and 1000; it is 0"),
        ("digits(imbalance", "found the end at character 17 of the formula; expected 'digits(name=value, ...)'"),
        ("csv:/gone.csv", "/gone.csv: no such manifest"),
        ("folder:/gone", "/gone: no such folder"),
    ],
)
def test_specs_that_make_no_sense(spec: str, expected: str) -> None:
    assert expected in refused(spec)


def test_options_that_make_no_sense() -> None:
    assert "--val does not apply to --data 'digits'" in refused("digits", val="x.csv")
    assert "--label does not apply to --data 'synthetic'" in refused("synthetic", label="mood")
    assert refused("digits", seed=-1) == "--seed -1: must be a whole number of at least 0"


def test_a_bare_path_is_told_its_scheme(tmp_path: Path) -> None:
    path = manifest(tmp_path / "my.csv", pets("p"))
    assert f"did you mean 'csv:{path}'?" in refused(str(path))
    assert f"did you mean 'folder:{tmp_path}'?" in refused(str(tmp_path))


def test_every_source_has_a_form() -> None:
    assert all(source.form.startswith(name) for name, source in SOURCES.items())


def test_no_torch_is_imported() -> None:
    code = (
        "import sys; from lossbench.data.sources import open_data; open_data('digits'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(not FACES8.is_dir(), reason=f"{FACES8} is not on this machine")
def test_faces8() -> None:
    splits: Splits = open_data(f"csv:{FACES8}/train.csv")
    assert len(splits.train) == 9538
    assert len(splits.test) == 1363
    names = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert splits.train.class_names == names
    assert splits.train.class_counts == (177, 6, 134, 15, 3972, 4794, 184, 256)
    assert splits.train.read(0).size == (112, 112)
    assert splits.notes == ()
