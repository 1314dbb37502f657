"""What weights want of their images is checked, and written as it is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.models.preprocessing import Preprocessing

OK: dict[str, Any] = {"mean": (1.0, 2.0, 3.0), "std": (1.0, 1.0, 1.0), "image_size": 224}
finite = st.floats(-1e6, 1e6)


@given(st.tuples(finite, finite, finite), st.floats(1e-3, 1e3), st.integers(1, 1000), st.floats(0.01, 1))
def test_what_is_written_is_read_back(mean: Any, std: float, size: int, share: float) -> None:
    wants = Preprocessing(mean=mean, std=(std,) * 3, image_size=size, crop_share=share)
    assert Preprocessing.of(wants.content()) == wants


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": (1.0, 2.0)}, "mean must be three finite numbers"),
        ({"mean": (1.0, float("nan"), 2.0)}, "mean must be three finite numbers"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be positive"),
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"crop_share": 0.0}, r"crop_share must be in \(0, 1\], got 0.0"),
        ({"crop_share": 1.1}, r"crop_share must be in \(0, 1\], got 1.1"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**{**OK, **change})


@pytest.mark.parametrize("change", [{"channels": "BGR"}, {"scale": "0..1"}])
def test_other_channels_and_scales_are_not_guessed(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"unknown channels '...' or scale '[0-9.]+'"):
        Preprocessing.of({**Preprocessing(**OK).content(), **change})
