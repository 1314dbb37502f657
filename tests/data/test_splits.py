"""Laws of carving, and what makes two splits unfit for each other."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lossbench.data.splits import carve, check_splits, left_out
from lossbench.data.table import ImageTable
from lossbench.errors import DataError


def table(
    targets: list[int],
    names: tuple[str, ...] | None = None,
    persons: list[str] | None = None,
    paths: list[Path] | None = None,
    name: str = "demo",
) -> ImageTable:
    return ImageTable(
        name=name,
        class_names=tuple("abcdefghij"[: max(targets, default=0) + 1]) if names is None else names,
        targets=np.array(targets, dtype=np.int64),
        sample_ids=[str(row) for row in range(len(targets))],
        read=lambda row: Image.new("RGB", (1, 1)),
        persons=None if persons is None else np.array(persons, dtype=np.str_),
        paths=paths,
    )


class_sizes = st.lists(st.integers(1, 60), min_size=1, max_size=6)
fractions = st.floats(0.02, 0.98)
seeds = st.integers(0, 2**32)


@given(sizes=class_sizes, fraction=fractions, seed=seeds, min_images=st.integers(2, 12), order=st.randoms())
def test_carving_by_image(sizes: list[int], fraction: float, seed: int, min_images: int, order: object) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes).tolist()
    order.shuffle(targets)  # type: ignore[attr-defined]
    whole = table(targets)
    train, held = carve(whole, fraction, seed, min_images)

    assert sorted([*train, *held]) == list(range(len(targets)))  # a partition
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()
    again = carve(whole, fraction, seed, min_images)
    assert np.array_equal(again[0], train)
    assert np.array_equal(again[1], held)
    for size, stays, goes in zip(sizes, whole.subset(train).class_counts, whole.subset(held).class_counts, strict=True):
        if size < min_images:
            assert goes == 0
        else:
            assert stays >= 1
            assert goes >= 1
            assert abs(goes - fraction * size) <= 1
    assert left_out(whole, held) == tuple(
        name for name, size in zip(whole.class_names, sizes, strict=True) if size < min_images
    )


@st.composite
def tables_of_persons(draw: st.DrawFn) -> ImageTable:
    rows = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=120))
    return table([target for target, _ in rows], tuple("abcd"), [f"p{person}" for _, person in rows])


@given(whole=tables_of_persons(), fraction=st.floats(0.05, 0.6), seed=seeds, min_images=st.integers(2, 10))
def test_carving_by_person(whole: ImageTable, fraction: float, seed: int, min_images: int) -> None:
    assert whole.persons is not None
    train, held = carve(whole, fraction, seed, min_images)
    assert sorted([*train, *held]) == list(range(len(whole)))
    assert not set(whole.persons[train]) & set(whole.persons[held])
    again = carve(whole, fraction, seed, min_images)
    assert np.array_equal(again[1], held)
    for size, stays, goes in zip(
        whole.class_counts, whole.subset(train).class_counts, whole.subset(held).class_counts, strict=True
    ):
        assert stays >= 1 or size == 0  # training keeps every class
        assert goes == 0 or size >= min_images


@given(
    persons=st.lists(st.lists(st.integers(1, 6), min_size=5, max_size=30), min_size=1, max_size=4),
    fraction=st.floats(0.1, 0.5),
    seed=seeds,
)
def test_by_person_every_class_of_enough_images_is_on_both_sides(
    persons: list[list[int]], fraction: float, seed: int
) -> None:
    """Where each person shows one class; `persons` is the number of images of each person of each class."""
    targets, owners = [], []
    for number, sizes in enumerate(persons):
        for person, size in enumerate(sizes):
            targets += [number] * size
            owners += [f"{number}/{person}"] * size
    whole = table(targets, persons=owners)
    train, held = carve(whole, fraction, seed, min_images=5)
    assert min(whole.subset(train).class_counts) >= 1
    assert min(whole.subset(held).class_counts) >= 1
    for size, goes in zip(whole.class_counts, whole.subset(held).class_counts, strict=True):
        assert abs(goes - fraction * size) <= 6  # as close as the largest person allows
    assert left_out(whole, held) == ()


@settings(max_examples=20)
@given(seed=seeds)
def test_a_person_of_a_small_class_stays_in_training(seed: int) -> None:
    whole = table([0] * 50 + [1] * 3, persons=[f"p{row % 25}" for row in range(50)] + ["p0", "p1", "p2"])
    train, held = carve(whole, 0.3, seed, min_images=10)
    assert whole.persons is not None
    assert {"p0", "p1", "p2"} <= set(whole.persons[train])
    assert left_out(whole, held) == ("b",)


def test_another_seed_carves_others() -> None:
    for persons in (None, [f"p{row // 2}" for row in range(200)]):
        whole = table([0, 1] * 100, persons=persons)
        assert not np.array_equal(carve(whole, 0.2, 0)[1], carve(whole, 0.2, 1)[1])


def test_bad_fractions() -> None:
    for fraction in (0, 1, -0.1, float("nan")):
        with pytest.raises(DataError, match="the fraction to carve must be between 0 and 1; it is"):
            carve(table([0, 1]), fraction, 0)
    with pytest.raises(DataError, match="min_images must be at least 2"):
        carve(table([0, 1]), 0.5, 0, min_images=1)


# --- check_splits ----------------------------------------------------------------------------------------------------


def refused(train: ImageTable, test: ImageTable, **options: bool) -> str:
    with pytest.raises(DataError) as caught:
        check_splits(train, test, **options)
    return str(caught.value)


def test_good_splits_have_no_notes() -> None:
    assert check_splits(table([0, 1, 1]), table([1, 0])) == ()


def test_labels_that_training_lacks() -> None:
    said = refused(table([0, 1], name="csv:a"), table([0, 1, 2, 2], name="csv:b"))
    assert said == (
        "csv:b: 1 label(s) that do not occur in csv:a:\n  'c' (2 image(s))\n"
        "Training has: a, b. Correct the labels, or add images with these labels to training."
    )


def test_classes_in_another_order() -> None:
    assert "classes are in a different order" in refused(table([0, 1], ("a", "b")), table([0, 1], ("b", "a")))


def test_too_few_classes_or_images() -> None:
    assert refused(table([0, 0]), table([0])) == "demo: only one class ('a'); at least two are needed"
    assert "demo: no training image of b, d;" in refused(table([0, 2], tuple("abcd")), table([0, 2], tuple("abcd")))
    assert refused(table([0, 1]), table([], ("a", "b"))) == "demo: no images in the test split; add some"
    assert refused(table([], ("a", "b")), table([0, 1])) == "demo: no images in the training split; add some"


def test_classes_absent_from_evaluation() -> None:
    train, test = table([0, 1, 2]), table([0, 0], tuple("abc"), name="csv:b")
    said = refused(train, test)
    assert said.startswith("csv:b: no test image of b, c; balanced accuracy is the mean over all 3 classes.")
    assert "pass --allow-missing-classes" in said
    assert check_splits(train, test, allow_missing_classes=True) == (
        "csv:b: no test image of b, c: excluded from the mean over classes",
    )


def test_the_same_file_in_both(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.link(tmp_path / "b", tmp_path / "hard")
    train = table([0, 1, 0], paths=[tmp_path / "a", tmp_path / "b", tmp_path / "gone"], name="csv:a")
    for shared in ("a", "link", "hard"):
        said = refused(train, table([0, 1], paths=[tmp_path / shared, tmp_path / "c"], name="csv:b"))
        assert said.startswith(f"csv:b: 1 file(s) are also in csv:a:\n  {tmp_path / shared}\n")
    assert check_splits(train, table([0, 1], paths=[tmp_path / "c", tmp_path / "gone2"])) == ()


def test_persons_in_both_are_noted() -> None:
    notes = check_splits(table([0, 1], persons=["ann", "bob"]), table([0, 1], persons=["bob", "cy"]))
    assert notes == (
        "1 person(s) are in both training and test, such as 'bob': results will be better than on new persons",
    )
