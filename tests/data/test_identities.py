"""Where people are the classes: one image of each is evaluated, and those with few images are left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lossbench.data.identities import carve_identities
from lossbench.data.sources import Splits, open_data
from lossbench.data.table import ImageTable
from lossbench.errors import DataError

COUNTS = {"ann": 5, "bob": 4, "cy": 3, "dee": 9}


def table(targets: list[int]) -> ImageTable:
    return ImageTable(
        name="demo",
        class_names=tuple(f"p{n}" for n in range(max(targets) + 1)),
        targets=np.array(targets, dtype=np.int64),
        sample_ids=[str(row) for row in range(len(targets))],
        read=lambda row: Image.new("RGB", (1, 1)),
    )


@given(
    sizes=st.lists(st.integers(0, 12), min_size=2, max_size=20),
    least=st.integers(2, 6),
    seed=st.integers(0, 99),
    order=st.randoms(),
)
def test_laws_of_carving(sizes: list[int], least: int, seed: int, order: object) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes).tolist()
    order.shuffle(targets)  # type: ignore[attr-defined]
    enough = [f"p{n}" for n, size in enumerate(sizes) if size >= least]
    if not targets:
        return
    if len(enough) < 2:
        with pytest.raises(DataError, match="people have at least"):
            carve_identities(table(targets), least, seed)
        return
    kept, train, held = carve_identities(table(targets), least, seed)
    assert list(kept.class_names) == enough
    assert sorted([*train, *held]) == list(range(len(kept)))  # a partition
    assert kept.subset(held).class_counts == (1,) * len(enough)
    assert kept.subset(train).class_counts == tuple(size - 1 for size in sizes if size >= least)
    for row, name in zip(range(len(kept)), kept.sample_ids, strict=True):
        assert kept.class_names[kept.targets[row]] == f"p{targets[int(name)]}"
    assert np.array_equal(carve_identities(table(targets), least, seed)[2], held)


def people(folder: Path, split: str | None = None) -> Path:
    rows = ["path,label,person" + (",split" if split else "")]
    for name, count in COUNTS.items():
        for n in range(count):
            path = folder / name / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (len(rows), 0, 0)).save(path)
            rows.append(f"{name}/{n}.png,{'ab'[n % 2]},{name}" + (f",{split if n == 0 else 'train'}" if split else ""))
    (folder / "train.csv").write_text("\n".join(rows))
    return folder


def refused(spec: str, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        open_data(spec, **options)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("spec", ["csv:{}/train.csv", "folder:{}"])
def test_people_of_a_manifest_and_of_folders(tmp_path: Path, spec: str) -> None:
    people(tmp_path)
    splits: Splits = open_data(spec.format(tmp_path), label="person")
    assert splits.train.class_names == ("ann", "bob", "dee")
    assert splits.train.class_counts == (4, 3, 8)
    assert splits.test.class_counts == (1, 1, 1)
    assert splits.origin == "one image of each of 3 people, carved from training"
    assert "1 person(s) with fewer than 4 images are dropped, with 3 image(s)" in splits.notes
    assert splits.train.details["dropped"] == {"train": {"of a person with fewer than 4 images": 3}}
    assert not any("in training and in evaluation" in note for note in splits.notes)
    assert all(name.startswith("dee") for name in np.array(splits.train.sample_ids)[splits.train.targets == 2])
    again = open_data(spec.format(tmp_path), label="person", seed=7)  # not the run's seed
    assert again.test.digest() == splits.test.digest()


def test_the_least_number_of_images(tmp_path: Path) -> None:
    spec = f"csv:{people(tmp_path)}/train.csv"
    assert open_data(spec, label="person", min_images=3).train.class_names == ("ann", "bob", "cy", "dee")
    assert open_data(spec, label="person", min_images=5).train.class_names == ("ann", "dee")
    assert (
        "1 of 4 people have at least 6 images (the maximum is 9), but two people are needed; lower --min-images"
        in refused(spec, label="person", min_images=6)
    )
    assert "--min-images must be at least 2" in refused(spec, label="person", min_images=1)


def test_evaluation_splits_of_other_people_are_not_read(tmp_path: Path) -> None:
    spec = f"csv:{people(tmp_path)}/train.csv"
    (tmp_path / "val.csv").write_text("this is not even a manifest")
    splits = open_data(spec, label="person")
    assert f"{tmp_path}/val.csv is not read: the test split has the people of training" in splits.notes
    said = refused(spec, label="person", val=f"{tmp_path}/val.csv")
    assert "with --label person the classes are the people in training, and one image of each is carved" in said


def test_rows_of_other_splits_are_not_used(tmp_path: Path) -> None:
    spec = f"csv:{people(tmp_path, split='val')}/train.csv"
    splits = open_data(spec, label="person", min_images=2)
    assert splits.train.class_counts == (3, 2, 1, 7)
    assert f"{spec}: 4 image(s) of splits other than train are not used" in splits.notes
    assert Counter(name.partition("/")[2] for name in [*splits.train.sample_ids, *splits.test.sample_ids])["0.png"] == 0


def test_options_without_meaning(tmp_path: Path) -> None:
    people(tmp_path)
    assert "--min-images applies only to people as classes" in refused(f"folder:{tmp_path}", min_images=3)
    assert "--min-images applies only to" in refused("digits", min_images=3)
    assert "--label person makes each folder a person" in refused(f"folder:{tmp_path}", label="mood")
    (tmp_path / "plain.csv").write_text("path,label\nann/0.png,a\nbob/0.png,b\n")
    assert "no column 'person'; found columns: path, label" in refused(f"csv:{tmp_path}/plain.csv", label="person")
