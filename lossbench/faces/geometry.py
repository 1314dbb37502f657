"""Cut a face out of an image: a square with a margin, upright or aligned by landmarks, also beyond its edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..detectors import Face

FloatArray = npt.NDArray[np.float64]

# Where the landmarks lie in an aligned crop without margin: InsightFace's template, on 112 pixels (`face_align.py` of
# https://github.com/deepinsight/insightface), which most face recognition models are trained with.
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_TEMPLATE_SIDE = 112.0
_GRID = 64  # points per side with which the share outside the image is measured
_MOST_SIDES = 20.0  # side of a crop, in longer sides of the image


class NoCropError(Exception):
    """A face that cannot be cut out; carries only the reason."""


class Crop(NamedTuple):
    """A face that was cut out.

    Attributes:
        image: (size, size) RGB.
        padding: share of its area that lies outside the photograph, where the edge's pixels are repeated.
    """

    image: Image.Image
    padding: float


def cut_out(image: Image.Image, face: Face, *, align: bool, margin: float, size: int) -> Crop:
    """Return the square crop of a face.

    Args:
        image: upright RGB image.
        face: in pixels of the image.
        align: map the landmarks to fixed places by a rotation, a scale and a shift, fitted by least squares.
        margin: added on each side, as a share of the face's side: of the box's longer side, or of the template's.
        size: side of the crop in pixels.

    Raises:
        NoCropError: the face has no landmarks or these lie in one point, or the crop lies outside the image.

    Example:
        >>> photo = Image.new("RGB", (100, 80), "white")
        >>> crop = cut_out(photo, Face((40, 0, 60, 20), 1.0), align=False, margin=0.5, size=32)
        >>> crop.image.size, crop.padding
        ((32, 32), 0.25)
    """
    matrix = _aligned(face, margin, size) if align else _upright(face, margin, size)
    side = size * _scale(matrix)
    if not side <= _MOST_SIDES * max(image.size):
        raise NoCropError(f"its crop would be {side:.0f} pixels wide, of {image.width} x {image.height}")
    corners = _corners(matrix, size)
    if (corners.max(axis=0) <= 0).any() or (corners.min(axis=0) >= image.size).any():
        raise NoCropError(f"it lies outside the {image.width} x {image.height} pixels of the photograph")
    places = (np.arange(_GRID) + 0.5) * size / _GRID
    x, y = _apply(matrix, np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)).T
    outside = (x < 0) | (y < 0) | (x > image.width) | (y > image.height)
    cut = _aligned_pixels if align else _upright_pixels
    return Crop(cut(image, matrix, size), float(outside.mean()))


def _upright(face: Face, margin: float, size: int) -> FloatArray:
    """Return the (2, 3) matrix from places in the crop to places in the image."""
    left, top, right, bottom = face.box
    side = face.side * (1 + 2 * margin)
    scale = side / size
    return np.array([[scale, 0, (left + right - side) / 2], [0, scale, (top + bottom - side) / 2]])


def _aligned(face: Face, margin: float, size: int) -> FloatArray:
    if face.landmarks is None:
        raise NoCropError("it has no landmarks to align it by")
    points = np.array(face.landmarks)
    target = (_TEMPLATE + margin * _TEMPLATE_SIDE) * (size / (_TEMPLATE_SIDE * (1 + 2 * margin)))
    # Similarities without reflection are complex maps z -> a z + b: a least-squares fit in the complex plane.
    z, w = (p[:, 0] + 1j * p[:, 1] for p in (points, target))
    centered = z - z.mean()
    spread = float((abs(centered) ** 2).sum())
    a = (centered.conj() * (w - w.mean())).sum() / spread if spread > 0 else 0j
    if abs(a) < 1e-6 or not math.isfinite(abs(a)):
        raise NoCropError("its landmarks do not tell how it is turned")
    inverse = 1 / a
    shift = z.mean() - inverse * w.mean()
    return np.array([[inverse.real, -inverse.imag, shift.real], [inverse.imag, inverse.real, shift.imag]])


def _scale(matrix: FloatArray) -> float:
    """Return how many pixels of the image a pixel of the crop spans."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _apply(matrix: FloatArray, points: FloatArray) -> FloatArray:
    mapped: FloatArray = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def _corners(matrix: FloatArray, size: int) -> FloatArray:
    return _apply(matrix, np.array([[0, 0], [size, 0], [0, size], [size, size]], dtype=np.float64))


def _upright_pixels(image: Image.Image, matrix: FloatArray, size: int) -> Image.Image:
    """Return the crop of a matrix without rotation, scaled by an anti-aliasing filter."""
    side = size * _scale(matrix)
    left, top = matrix[:, 2].tolist()
    within = _inside(image, (left, top), (left + side, top + side))
    shrink = max(1, int(side / (2 * size)))  # bounds the memory of what is repeated
    part = image.reduce(shrink, within) if shrink > 1 else image.crop(within)
    x, y, side = (left - within[0]) / shrink, (top - within[1]) / shrink, side / shrink
    part, (right, down) = _extended(part, (x, y), (x + side, y + side))
    x, y = max(0.0, x + right), max(0.0, y + down)
    box = (x, y, min(x + side, part.width), min(y + side, part.height))
    return part.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _aligned_pixels(image: Image.Image, matrix: FloatArray, size: int) -> Image.Image:
    """Return the crop of any matrix: an anti-aliasing filter shrinks what is needed, then the map interpolates."""
    corners, border = _corners(matrix, size), 3 * max(1.0, _scale(matrix))  # a border for the interpolation
    low, high = corners.min(axis=0) - border, corners.max(axis=0) + border
    within = _inside(image, low, high)
    part, shrink = image.crop(within), max(1.0, _scale(matrix))
    if shrink > 1:
        small = (max(1, round(part.width / shrink)), max(1, round(part.height / shrink)))
        factor = np.array(small) / part.size
        part = part.resize(small, Image.Resampling.LANCZOS)
    else:
        factor = np.ones(2)
    origin = np.array(within[:2])
    part, shift = _extended(part, (low - origin) * factor, (high - origin) * factor)
    to_part = (matrix - np.array([[0, 0, origin[0]], [0, 0, origin[1]]])) * factor[:, None]
    to_part[:, 2] += shift
    coefficients = tuple(to_part.ravel().tolist())
    return part.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def _inside(image: Image.Image, low: Sequence[float], high: Sequence[float]) -> tuple[int, int, int, int]:
    """Return the whole pixels of a rectangle that lie in an image, at least one."""
    left, top = (min(max(math.floor(v), 0), most - 1) for v, most in zip(low, image.size, strict=True))
    right, bottom = (max(min(math.ceil(v), most), 1) for v, most in zip(high, image.size, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _extended(image: Image.Image, low: Sequence[float], high: Sequence[float]) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image with the pixels of its edges repeated up to a rectangle, and the place of its old corner."""
    left, top = (max(0, math.ceil(-v)) for v in low)
    right, bottom = (max(0, math.ceil(v - most)) for v, most in zip(high, image.size, strict=True))
    if not (left or top or right or bottom):
        return image, (0, 0)
    pixels: npt.NDArray[Any] = np.pad(np.asarray(image), ((top, bottom), (left, right), (0, 0)), mode="edge")
    return Image.fromarray(pixels), (left, top)
