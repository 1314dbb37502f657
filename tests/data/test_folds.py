"""Laws of folds: every image is tested once, persons stay whole, and what cannot be divided is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lossbench.data.folds import check_folds, fold_numbers
from lossbench.data.sources import open_data
from lossbench.data.table import ImageTable
from lossbench.errors import DataError


def table(targets: list[int], persons: list[str] | None = None) -> ImageTable:
    return ImageTable(
        name="demo",
        class_names=tuple("abcdef"[: max(targets) + 1]),
        targets=np.array(targets, dtype=np.int64),
        sample_ids=[str(row) for row in range(len(targets))],
        read=lambda row: Image.new("RGB", (1, 1)),
        persons=None if persons is None else np.array(persons, dtype=np.str_),
    )


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(2, 40), min_size=1, max_size=6), folds=st.integers(2, 7), seed=st.integers(0, 2**32))
def test_images_are_spread_evenly(sizes: list[int], folds: int, seed: int) -> None:
    whole = table(np.repeat(np.arange(len(sizes)), sizes).tolist())
    numbers = fold_numbers(whole, folds, seed)
    assert set(numbers.tolist()) <= set(range(1, folds + 1))
    assert np.array_equal(numbers, fold_numbers(whole, folds, seed))
    for number, size in enumerate(sizes):
        held = np.bincount(numbers[whole.targets == number], minlength=folds + 1)[1:]
        assert held.sum() == size
        assert np.ptp(held) <= 1
    assert np.ptp(np.bincount(numbers, minlength=folds + 1)[1:]) <= 1


@settings(max_examples=25)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=2, max_size=120),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**32),
)
def test_persons_stay_whole(rows: list[tuple[int, int]], folds: int, seed: int) -> None:
    whole = table([target for target, _ in rows], [f"p{person}" for _, person in rows])
    numbers = fold_numbers(whole, folds, seed)
    assert numbers.min() >= 1
    for person in np.unique(whole.persons):
        assert len(set(numbers[whole.persons == person].tolist())) == 1


def test_a_rare_class_of_as_many_persons_as_folds_is_in_every_fold() -> None:
    targets = [0] * 40 + [1] * 5
    persons = [f"common{n % 12}" for n in range(40)] + [f"rare{n}" for n in range(5)]
    numbers = fold_numbers(table(targets, persons), 5, 0)
    assert sorted(numbers[40:].tolist()) == [1, 2, 3, 4, 5]


def test_every_seed_divides_the_same_images_anew() -> None:
    tested = {
        seed: [open_data("digits", folds=2, fold=fold, seed=seed).test.sample_ids for fold in (1, 2)] for seed in (0, 1)
    }
    for halves in tested.values():
        assert not set(halves[0]) & set(halves[1])
    assert set(tested[0][0]) | set(tested[0][1]) == set(tested[1][0]) | set(tested[1][1])
    assert set(tested[0][0]) != set(tested[1][0])


@pytest.mark.parametrize(
    ("sizes", "folds", "allow", "message"),
    [
        (
            (9, 3),
            5,
            False,
            r"at least 5 images of every class.*\n *'b' \(3 images\)\n.*--folds 3.*--allow-missing",
        ),
        ((9, 1), 5, False, r"'b' \(1 image\)\n.*cannot be both trained and tested"),
        ((9, 1), 5, True, r"needs at least 2 images of every class"),
        ((9, 3), 5, True, ""),
    ],
)
def test_classes_with_too_few_images_are_refused(sizes: tuple[int, ...], folds: int, allow: bool, message: str) -> None:
    whole = table(np.repeat(np.arange(len(sizes)), sizes).tolist())
    if not message:
        check_folds(whole, folds, allow)
        return
    with pytest.raises(DataError, match=f"(?s){message}"):
        check_folds(whole, folds, allow)


def test_persons_count_where_they_are_known() -> None:
    with pytest.raises(DataError, match=r"'b' \(2 persons\)"):
        check_folds(table([0] * 8 + [1] * 8, [*"abcdefgh", *"aaaabbbb"]), 3)


def test_data_with_a_test_split_are_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (2, 2)).save(tmp_path / split / name / "1.png")
    with pytest.raises(DataError, match=r"--folds 2: .* has a test split \(the folder's subfolder"):
        open_data(f"folder:{tmp_path}", folds=2)
