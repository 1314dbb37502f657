"""Crops of faces: where they lie, beyond the image's edges, aligned by landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from lossbench.detectors import Face
from lossbench.faces.geometry import _TEMPLATE, NoCropError, _aligned, _apply, cut_out

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
SMOOTH = NOISE.resize((20, 15)).resize((320, 240), Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(float)


@given(left=st.integers(-20, 70), top=st.integers(-20, 50), side=st.integers(9, 60))
@settings(max_examples=20)
def test_a_crop_without_scaling_copies_pixels_and_repeats_the_edges(left: int, top: int, side: int) -> None:
    if left + side <= 0 or top + side <= 0:
        return
    crop = cut_out(NOISE, Face((left, top, left + side, top + side), 1.0), align=False, margin=0, size=side)
    rows = np.clip(np.arange(top, top + side), 0, 59)
    columns = np.clip(np.arange(left, left + side), 0, 79)
    np.testing.assert_array_equal(np.asarray(crop.image), np.asarray(NOISE)[rows[:, None], columns])
    inside = max(0, min(80, left + side) - max(0, left)) * max(0, min(60, top + side) - max(0, top))
    assert crop.padding == pytest.approx(1 - inside / side**2, abs=0.06)


def test_a_margin_is_added_on_each_side_of_the_longer_side() -> None:
    wide = cut_out(NOISE, Face((30, 25, 50, 35), 1.0), align=False, margin=0.5, size=40)
    np.testing.assert_array_equal(np.asarray(wide.image), np.asarray(NOISE)[10:50, 20:60])
    assert wide.padding == 0


def test_a_large_face_is_averaged_not_sampled() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (512, 256))).convert("RGB")
    crop = cut_out(stripes, Face((0, 0, 512, 512), 1.0), align=False, margin=0, size=32)
    assert abs(pixels(crop.image)[:, 2:-2] - 127.5).max() < 4


@given(
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.3, 5),
    shift=st.tuples(st.floats(-50, 300), st.floats(-50, 300)),
    margin=st.floats(0, 1),
)
@settings(max_examples=20)
def test_alignment_undoes_a_similarity(angle: float, scale: float, shift: tuple[float, float], margin: float) -> None:
    """Landmarks that are the template, turned, scaled and moved, come to lie on the template again."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (_TEMPLATE - 56) @ turn.T + shift
    face = Face((0, 0, 9, 9), 1.0, tuple(map(tuple, points.tolist())))
    target = (_TEMPLATE + margin * 112) / (1 + 2 * margin) * 80 / 112
    np.testing.assert_allclose(_apply(_aligned(face, margin, 80), target), points, atol=1e-6)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_an_aligned_crop_interpolates_the_photograph(scale: float) -> None:
    turn = scale * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    points = (_TEMPLATE - 56) @ turn.T + (150, 115)
    face = Face((0, 0, 9, 9), 1.0, tuple(map(tuple, points.tolist())))
    crop = pixels(cut_out(SMOOTH, face, align=True, margin=0.1, size=64).image)
    centers = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), axis=-1).reshape(-1, 2)
    x, y = _apply(_aligned(face, 0.1, 64), centers).T - 0.5
    for channel in range(3):
        there = ndimage.map_coordinates(pixels(SMOOTH)[:, :, channel], [y, x], order=1, mode="nearest")
        assert abs(crop[:, :, channel].ravel() - there).mean() < 1.5


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    mirrored = np.array([[112 - x, y] for x, y in _TEMPLATE])
    face = Face((0, 0, 9, 9), 1.0, tuple(map(tuple, mirrored.tolist())))
    crop = cut_out(SMOOTH, face, align=True, margin=0, size=112)
    assert crop.image.size == (112, 112)


@pytest.mark.parametrize(
    ("face", "align", "reason"),
    [
        (Face((500, 500, 520, 520), 1.0), False, "it lies outside the 80 x 60 pixels of the photograph"),
        (Face((0, 0, 9000, 9000), 1.0), False, "its crop would be 14400 pixels wide, of 80 x 60"),
        (Face((0, 0, 20, 20), 1.0), True, "it has no landmarks to align it by"),
        (Face((0, 0, 20, 20), 1.0, ((5.0, 5.0),) * 5), True, "its landmarks do not tell how it is turned"),
    ],
)
def test_a_face_that_cannot_be_cut_out_says_why(face: Face, align: bool, reason: str) -> None:
    with pytest.raises(NoCropError, match=reason):
        cut_out(NOISE, face, align=align, margin=0.3, size=32)


def test_memory_does_not_grow_with_a_crop_beyond_the_image() -> None:
    tall = Image.new("RGB", (4000, 30))
    crop = cut_out(tall, Face((0, 0, 4000, 30), 1.0), align=False, margin=1.0, size=64)
    assert crop.padding > 0.95


@pytest.mark.parametrize(
    ("box", "landmarks", "message"),
    [
        ((0, 0, 0, 5), None, "is empty"),
        ((0, 0, float("inf"), 5), None, "4 finite"),
        ((0, 0, 5), None, "4 finite"),
        ("ab", None, "expected numbers"),
        ((0, 0, 5, 5), ((1, 2),), "1 landmarks; expected 5"),
        ((0, 0, 5, 5), ((1, float("nan")),) * 5, "2 finite"),
    ],
)
def test_a_face_is_checked(box: tuple[float, ...], landmarks: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Face(box, 0.5, landmarks)  # type: ignore[arg-type]
