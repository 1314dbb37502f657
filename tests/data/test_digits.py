"""The long-tailed digits: a pure function of dials and seed."""

from __future__ import annotations

import numpy as np
import pytest

from lossbench.data.digits import Digits, open_digits
from lossbench.data.sources import source_of
from lossbench.errors import DataError


def test_the_profile_is_exponential_and_rotates_with_the_seed() -> None:
    profile = (122, 85, 60, 42, 29, 20, 14, 10, 7, 5)
    for seed in range(11):
        train, _ = open_digits(Digits(), seed)
        assert tuple(np.roll(train.class_counts, -seed)) == profile


def test_the_test_split_is_fixed_and_balanced_and_apart_from_training() -> None:
    first = open_digits(Digits(), 0)[1]
    assert max(first.class_counts) - min(first.class_counts) <= 3
    for seed in range(10):
        train, test = open_digits(Digits(imbalance=10), seed)
        assert test.digest() == first.digest()
        assert not set(train.sample_ids) & set(test.sample_ids)


def test_same_seed_same_data_other_seed_other_images() -> None:
    one, again, other = (open_digits(Digits(), seed)[0] for seed in (3, 3, 13))
    assert one.digest() == again.digest()
    assert one.class_counts == other.class_counts
    assert one.digest() != other.digest()


def test_images_are_the_real_ones() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    train, _ = open_digits(Digits(), 0)
    row = 17
    source = int(train.sample_ids[row].removeprefix("digits/"))
    assert train.targets[row] == bunch.target[source]
    image = train.read(row)
    assert image.mode == "RGB"
    assert image.size == (8, 8)
    np.testing.assert_allclose(np.asarray(image)[:, :, 1], bunch.images[source] * 255 / 16, atol=0.5)


def test_what_the_table_says() -> None:
    train, test = open_digits(Digits(), 0)
    assert train.class_names == tuple("0123456789") == test.class_names
    assert source_of("digits").augment == "crop"
    assert train.subject == "a grayscale handwritten digit, light on dark"
    assert train.targets.dtype == np.int64
    assert train.paths is None
    assert train.persons is None
    assert train.details == {"imbalance": 25, "test_fraction": 0.3}


def test_dials_out_of_range() -> None:
    with pytest.raises(DataError, match=r"imbalance must be between 1 and 1000; it is 0\.5"):
        Digits(imbalance=0.5)
    with pytest.raises(DataError, match=r"test_fraction must be between 0\.05 and 0\.9; it is 1"):
        Digits(test_fraction=1)
    with pytest.raises(DataError, match=r"imbalance=100 leaves 1 of 122 .* use at most imbalance=40"):
        open_digits(Digits(imbalance=100), 0)
    assert min(open_digits(Digits(imbalance=40), 0)[0].class_counts) == 3
