"""Render faces from their parameters with signed distances and ramps, one chunk of images at a time.

Coordinates are relative to the face: u to the right of the image, v down, the head about 0.75 wide and 1 high to each
side of the origin. Every operation is elementwise and exactly defined by IEEE 754 (no exp, no matrix product, no
reduction), so that every image is bit-identical whatever else is rendered with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .face_parameters import Capture, Expression, Float32Array, Identity

FloatArray = npt.NDArray[np.floating[Any]]  # float32, which NumPy's stubs lose in mixed arithmetic
UInt8Array = npt.NDArray[np.uint8]


class _Frame(NamedTuple):
    """The face coordinates of each pixel: each (n, size, size), except `pixel`, (n, 1, 1)."""

    u: Float32Array  # of the skull
    v: Float32Array
    f: Float32Array  # of the features, which turn with yaw and pitch
    g: Float32Array
    side: Float32Array  # -1 or 1: which half of the face
    outward: Float32Array  # |f|
    pixel: Float32Array  # the width of a pixel


def render(expression: Expression, identity: Identity, capture: Capture, size: int) -> UInt8Array:
    """Return the faces as (n, size, size, 3) uint8 RGB."""
    frame = _frame(capture, size)
    canvas = _head(frame, expression, identity, capture)
    _eyes(canvas, frame, expression, identity, capture)
    _brows(canvas, frame, expression, identity)
    _mouth(canvas, frame, expression, identity)
    _glasses(canvas, frame, identity, capture)
    return _photograph(canvas, capture)


def _frame(capture: Capture, size: int) -> _Frame:
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
    return _Frame(u, v, f, g, side, f * side, np.float32(2 / size) / capture.scale)


def _inside(distance: FloatArray, softness: FloatArray) -> FloatArray:
    """Return the coverage of a pixel by a shape, given the signed distance to its edge (negative inside)."""
    cover: FloatArray = np.multiply(distance, -1 / softness)
    cover += 0.5
    np.clip(cover, 0, 1, out=cover)
    return cover


def _bump(t: FloatArray) -> FloatArray:
    """Return a smooth bump: 1 at 0, 0 at -1 and 1."""
    hill = 1 - t * t
    np.maximum(hill, 0, out=hill)
    hill *= hill
    return hill


def _paint(canvas: Float32Array, cover: FloatArray, colour: FloatArray) -> None:
    """Paint a color (3, n, 1, 1) or (3, n, size, size) over the canvas (3, n, size, size)."""
    for channel, tint in zip(canvas, colour, strict=True):
        step = tint - channel
        step *= cover
        np.add(channel, step, out=channel)


def _head(frame: _Frame, expression: Expression, identity: Identity, capture: Capture) -> Float32Array:
    u, v, pixel = frame.u, frame.v, frame.pixel
    canvas = capture.background * (1.05 - 0.15 * v)
    height = identity.head_height + np.where(v > 0, 0.10 * expression.jaw_drop, np.float32(0))
    across = u / (identity.head_width * (1 - identity.jaw_taper * np.maximum(v, -0.3)))
    along = v / height
    radius = np.sqrt(across * across + along * along)

    hair_edge = u * u / (identity.head_width + 0.10) ** 2
    up = np.where(v < 0, v / 1.08, v * (3.0 - 2.4 * identity.hair_length))
    _paint(canvas, _inside((np.sqrt(hair_edge + up * up) - 1) * 0.8, pixel), identity.hair * 0.85)
    _paint(canvas, _inside(np.maximum(np.abs(u) - 0.42, 0.7 - v), pixel), identity.skin * 0.72)

    skin = identity.skin * _relief(frame, radius, expression, identity, capture)
    face = _inside((radius - 1) * 0.8, pixel)
    _paint(canvas, face, skin)

    jaw = np.maximum(0.30 - frame.g, 0.62 - radius)
    _paint(canvas, _inside(jaw, pixel * 4) * face * identity.beard, identity.hair * 0.8)

    off_parting = u - identity.parting
    fringe = v - (identity.hairline + 0.28 * off_parting * off_parting)
    _paint(canvas, _inside(fringe, pixel * 1.5) * _inside((radius - 1.04) * 0.8, pixel), identity.hair)
    return canvas


def _relief(
    frame: _Frame, radius: Float32Array, expression: Expression, identity: Identity, capture: Capture
) -> Float32Array:
    """Return the (n, size, size) brightness of the skin: light, roundness, nose, wrinkles and folds."""
    f, g, outward = frame.f, frame.g, frame.outward
    shade = 1.0 + capture.light_x * frame.u - capture.light_y * frame.v
    shade -= 0.22 * radius * radius
    # The nose: one flank in shadow, a bright tip, dark nostrils that the wrinkler pulls up.
    lit_from_left = (capture.light_x >= 0).astype(np.float32)
    lift = 0.05 * expression.nose_wrinkler
    tip = identity.nose_length - lift
    length = _bump((g - 0.5 * tip + 0.08) / 0.34)
    shade -= 0.16 * length * _bump((f - 0.10) / 0.09) * (1 - 0.55 * lit_from_left)
    shade -= 0.16 * length * _bump((f + 0.10) / 0.09) * (0.45 + 0.55 * lit_from_left)
    shade += 0.10 * _bump(f / 0.09) * _bump((g - tip + 0.03) / 0.22)
    shade -= 0.45 * _bump((outward - 0.6 * identity.nose_width) / 0.065) * _bump((g - tip - 0.045) / 0.05)
    # Wrinkles across the root of the nose; furrows between the brows.
    root = _bump(f / 0.17)
    shade -= expression.nose_wrinkler * root * (0.40 * _bump((g + 0.17) / 0.06) + 0.40 * _bump((g + 0.04) / 0.06))
    shade -= 0.42 * expression.brow_lowerer * _bump((outward - 0.06) / 0.05) * _bump((g + 0.36) / 0.13)
    # Raised brows fold the forehead.
    raised = 0.5 * (expression.inner_brow_raiser + expression.outer_brow_raiser)
    shade -= 0.14 * raised * _bump(f / 0.45) * (_bump((g + 0.60) / 0.045) + _bump((g + 0.70) / 0.045))
    # Nasolabial folds: from the wing of the nose round the corner of the mouth.
    pulled = expression.lip_corner_puller + np.maximum(frame.side * expression.unilateral_dimpler, 0)
    depth = 0.10 + identity.age + 0.55 * pulled + 0.6 * expression.nose_wrinkler + 0.4 * expression.upper_lip_raiser
    down = np.clip((g - tip + 0.02) * 2.4, 0, 1)
    course = identity.nose_width + 0.05 + (0.20 + 0.06 * pulled) * down * (1.25 - 0.25 * down)
    shade -= 0.38 * depth * _bump((outward - course) / 0.05) * _bump((g - tip - 0.14) / 0.27)
    # Cheeks: raised, they catch light and fold below the eye.
    cheek = _bump((outward - 0.40) / 0.24)
    shade += 0.12 * expression.cheek_raiser * cheek * _bump((g - 0.13) / 0.17)
    shade -= 0.26 * expression.cheek_raiser * cheek * _bump((g + 0.045) / 0.05)
    # The dimple beside one corner; the boss of a raised chin.
    one_side = np.maximum(frame.side * expression.unilateral_dimpler, 0)
    corner = identity.mouth_height - 0.24 * one_side
    shade -= 0.40 * one_side * _bump((outward - identity.mouth_width - 0.085) / 0.05) * _bump((g - corner) / 0.11)
    chin = identity.mouth_height + 0.19 - 0.03 * expression.chin_raiser + 0.12 * expression.jaw_drop
    shade -= (0.10 + 0.25 * expression.chin_raiser) * _bump(f / 0.17) * _bump((g - chin) / 0.05)
    return shade


def _eyes(canvas: Float32Array, frame: _Frame, expression: Expression, identity: Identity, capture: Capture) -> None:
    height = np.float32(-0.17)
    across = (frame.outward - identity.eye_distance) / identity.eye_width
    arch = np.maximum(1 - across * across, 0)
    upper = identity.eye_opening * (1.05 + 0.95 * expression.upper_lid_raiser - 0.35 * expression.lid_tightener
                                    - 0.25 * expression.cheek_raiser)  # fmt: skip
    lower = identity.eye_opening * (0.75 - 0.6 * expression.lid_tightener - 0.6 * expression.cheek_raiser
                                    + 0.2 * expression.upper_lid_raiser)  # fmt: skip
    top = height - np.maximum(upper, 0.012) * arch
    bottom = height + np.maximum(lower, 0.006) * arch
    g, pixel = frame.g, frame.pixel
    within = (across * across < 1).astype(np.float32)
    opening = _inside(np.maximum(top - g, g - bottom), pixel) * within
    _paint(canvas, opening, np.full_like(identity.iris, 0.93))
    gazed = (frame.outward - identity.eye_distance) * frame.side - capture.gaze
    dy = g - height + 0.008
    distance = np.sqrt(gazed * gazed + dy * dy)
    _paint(canvas, opening * _inside(distance - 0.082, pixel), identity.iris)
    _paint(canvas, opening * _inside(distance - 0.038, pixel), np.full_like(identity.iris, 0.03))
    # The lash line, and the crease of the upper lid, which a raised lid brings closer.
    within = np.maximum(1 - across * across * 0.85, 0)
    lash = _inside(np.abs(g - top) - 0.020, pixel) * np.minimum(within * 3, 1)
    _paint(canvas, lash * 0.85, identity.skin * 0.18)
    lid = _inside(np.abs(g - bottom) - 0.008, pixel) * np.minimum(within * 2, 1)
    _paint(canvas, lid * 0.45, identity.skin * 0.45)
    crease = _inside(np.abs(g - top + 0.055) - 0.006, pixel) * within
    _paint(canvas, crease * 0.35, identity.skin * 0.5)


def _brows(canvas: Float32Array, frame: _Frame, expression: Expression, identity: Identity) -> None:
    inner = 0.135 - 0.035 * expression.brow_lowerer
    along = (frame.outward - inner) / 0.40
    t = np.clip(along, 0, 1)
    rest = identity.brow_height - 0.05 * t * (1.6 - 1.5 * t) * 2
    medial = (1 - t) * (1 - t)
    course = rest - (0.165 * medial - 0.03) * expression.inner_brow_raiser
    course -= 0.135 * t * (1.6 - 0.6 * t) * expression.outer_brow_raiser
    course += (0.06 + 0.10 * medial) * expression.brow_lowerer
    course += 0.03 * expression.nose_wrinkler * medial - 0.10 * frame.side * expression.brow_asymmetry
    thickness = identity.brow_thickness * (1 - 0.55 * t)
    past_end = np.abs(along - 0.5) - 0.5
    cover = _inside(np.maximum(np.abs(frame.g - course) - thickness, past_end * 0.40), frame.pixel)
    _paint(canvas, cover * 0.9, identity.hair * 0.6)


def _mouth(canvas: Float32Array, frame: _Frame, expression: Expression, identity: Identity) -> None:
    # A soft step from one half of the mouth to the other: a hard one would break the lips in the middle.
    dimple = np.abs(expression.unilateral_dimpler)
    one_side = np.clip(frame.f / identity.mouth_width * expression.unilateral_dimpler * 1.6 + 0.15 * dimple, 0, dimple)
    width = identity.mouth_width + 0.09 * expression.lip_corner_puller + 0.12 * expression.lip_stretcher
    width = width - 0.055 * expression.jaw_drop - 0.03 * expression.lip_tightener
    width = width + 0.06 * one_side
    t = frame.f / width
    squared = np.minimum(t * t, 1)
    arch = 1 - squared
    raised = 0.20 * expression.lip_corner_puller - 0.18 * expression.lip_corner_depressor
    raised = raised - 0.03 * expression.lip_stretcher
    middle = identity.mouth_height - 0.03 * expression.upper_lip_raiser - 0.035 * expression.chin_raiser
    line = middle + 0.30 * raised - (raised + 0.32 * one_side) * squared
    parted = 0.06 * expression.lips_part + 0.018 * expression.upper_lip_raiser
    top = line - (parted * 0.8 + 0.05 * expression.jaw_drop + 0.07 * expression.upper_lip_raiser * arch) * arch
    bottom = line + (parted + 0.20 * expression.jaw_drop) * arch
    full = identity.lip_thickness * (1 - 0.75 * np.minimum(expression.lip_tightener, 1))
    full = full * (1 - 0.25 * expression.lip_corner_puller) + 0.008
    lip_top = top - full * 0.85 * arch
    lip_bottom = bottom + full * 1.15 * arch
    g, pixel = frame.g, frame.pixel
    ends = (np.abs(t) - 1) * width
    lips = _inside(np.maximum(np.maximum(lip_top - g, g - lip_bottom), ends), pixel)
    red = identity.skin * np.array([0.80, 0.55, 0.55], dtype=np.float32)[:, None, None, None]
    _paint(canvas, lips * 0.85, red)
    # The dark of the open mouth, or the line of the closed one; its teeth hang from the upper lip.
    dark = _inside(np.maximum(np.maximum(top - 0.012 - g, g - bottom - 0.012), ends), pixel)
    _paint(canvas, dark * 0.92, identity.skin * 0.14)
    teeth = np.maximum(top + 0.004 - g, g - np.minimum(bottom - 0.01, top + 0.075))
    teeth = np.maximum(teeth, ends + 0.2 * width)
    shown = np.clip(26 * parted - 0.15, 0, 1)
    _paint(canvas, _inside(teeth, pixel) * shown * 0.9, np.full_like(identity.skin, 0.93))


def _glasses(canvas: Float32Array, frame: _Frame, identity: Identity, capture: Capture) -> None:
    dx = np.abs(frame.outward - identity.eye_distance) - 0.15
    dy = np.abs(frame.g + 0.15) - 0.10
    dx, dy = np.maximum(dx, 0), np.maximum(dy, 0)
    rim = np.abs(np.sqrt(dx * dx + dy * dy) - 0.06) - 0.016
    bridge = np.maximum(np.abs(frame.g + 0.19) - 0.016, frame.outward - (identity.eye_distance - 0.20))
    cover = _inside(np.minimum(rim, bridge), frame.pixel)
    _paint(canvas, cover * capture.glasses, np.full_like(identity.iris, 0.08))


def _photograph(canvas: Float32Array, capture: Capture) -> UInt8Array:
    """Apply lens blur, exposure and sensor noise; (3, n, size, size) in [0, 1] -> (n, size, size, 3) uint8."""
    quarter = capture.blur * 0.25
    for _ in range(2):
        canvas[..., 1:-1] += quarter * (canvas[..., :-2] + canvas[..., 2:] - 2 * canvas[..., 1:-1])
        canvas[..., 1:-1, :] += quarter * (canvas[..., :-2, :] + canvas[..., 2:, :] - 2 * canvas[..., 1:-1, :])
    size = canvas.shape[-1]
    grain = capture.noise * _pixel_normals(capture, size)
    canvas -= 0.5
    canvas *= capture.contrast
    canvas += grain + (0.5 + capture.brightness)
    canvas *= 255
    canvas += 0.5
    np.clip(canvas, 0, 255, out=canvas)
    return np.ascontiguousarray(np.moveaxis(canvas.astype(np.uint8), 0, -1))


def _pixel_normals(capture: Capture, size: int) -> Float32Array:
    """Return (n, size, size) approximately normal numbers: the summed bytes of a hash of (image, pixel)."""
    pixel = np.arange(size * size, dtype=np.uint32).reshape(size, size) * np.uint32(0x9E3779B9)
    bits = pixel ^ capture.pixel_key.astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    total = bits & np.uint32(0xFF)
    for shift in (8, 16, 24):
        total += (bits >> np.uint32(shift)) & np.uint32(0xFF)
    normals = total.astype(np.float32)
    normals -= 510
    normals *= 1 / 147.8
    return normals
