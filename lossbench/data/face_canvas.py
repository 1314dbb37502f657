"""The canvas of a rendered face: coordinates of its pixels, soft shapes, and painting over what is there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .face_expressions import Float32Array
from .face_parameters import Capture

FloatArray = npt.NDArray[np.floating[Any]]  # float32, which NumPy's stubs lose in mixed arithmetic


class Frame(NamedTuple):
    """The face coordinates of each pixel: each (n, size, size), except `pixel`, (n, 1, 1)."""

    u: Float32Array  # of the skull
    v: Float32Array
    f: Float32Array  # of the features, which turn with yaw and pitch
    g: Float32Array
    side: Float32Array  # -1 or 1: which half of the face
    outward: Float32Array  # |f|
    pixel: Float32Array  # the width of a pixel


def frame_of(capture: Capture, size: int) -> Frame:
    """Return the coordinates of the pixels of (n, size, size) images."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)
    x = line[None, None, :] - capture.shift_x
    y = line[None, :, None] - capture.shift_y
    # Rotation by the half-angle formulas: cos and sin differ in the last bit between machines.
    t = capture.roll_half_tangent
    cos = (1 - t * t) / (1 + t * t) / capture.scale
    sin = 2 * t / (1 + t * t) / capture.scale
    u = cos * x + sin * y
    v = cos * y - sin * x
    # Turning the head moves features across the skull, most in the middle.
    f = u - capture.yaw * 0.22 * np.maximum(1 - u * u * 1.5, 0)
    g = v - capture.pitch * 0.10 * np.maximum(1 - v * v, 0)
    side = np.where(f < 0, np.float32(-1), np.float32(1))
    return Frame(u, v, f, g, side, f * side, np.float32(2 / size) / capture.scale)


def inside(distance: FloatArray, softness: FloatArray) -> FloatArray:
    """Return the coverage of a pixel by a shape, given the signed distance to its edge (negative inside)."""
    cover: FloatArray = np.multiply(distance, -1 / softness)
    cover += 0.5
    np.clip(cover, 0, 1, out=cover)
    return cover


def bump(t: FloatArray) -> FloatArray:
    """Return a smooth bump: 1 at 0, 0 at -1 and 1."""
    hill = 1 - t * t
    np.maximum(hill, 0, out=hill)
    hill *= hill
    return hill


def paint(canvas: Float32Array, cover: FloatArray, colour: FloatArray) -> None:
    """Paint a color (3, n, 1, 1) or (3, n, size, size) over the canvas (3, n, size, size)."""
    for channel, tint in zip(canvas, colour, strict=True):
        step = tint - channel
        step *= cover
        np.add(channel, step, out=channel)
