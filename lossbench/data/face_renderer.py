"""Render faces from their parameters with signed distances and ramps, one chunk of images at a time.

Coordinates are relative to the face: u to the right of the image, v down, the head about 0.75 wide and 1 high to each
side of the origin. Every operation is elementwise and exactly defined by IEEE 754 (no exp, no matrix product, no
reduction), so that every image is bit-identical whatever else is rendered with it.
"""

from __future__ import annotations

import numpy as np

from .face_camera import UInt8Array, photograph
from .face_canvas import Frame, bump, frame_of, inside, paint
from .face_expressions import Expression, Float32Array
from .face_parameters import Capture, Identity


def render(expression: Expression, identity: Identity, capture: Capture, size: int) -> UInt8Array:
    """Return the faces as (n, size, size, 3) uint8 RGB."""
    frame = frame_of(capture, size)
    canvas = _head(frame, expression, identity, capture)
    _eyes(canvas, frame, expression, identity, capture)
    _brows(canvas, frame, expression, identity)
    _mouth(canvas, frame, expression, identity)
    _glasses(canvas, frame, identity, capture)
    return photograph(canvas, capture)


def _head(frame: Frame, expression: Expression, identity: Identity, capture: Capture) -> Float32Array:
    u, v, pixel = frame.u, frame.v, frame.pixel
    canvas = capture.background * (1.05 - 0.15 * v)
    height = identity.head_height + np.where(v > 0, 0.10 * expression.jaw_drop, np.float32(0))
    across = u / (identity.head_width * (1 - identity.jaw_taper * np.maximum(v, -0.3)))
    along = v / height
    radius = np.sqrt(across * across + along * along)

    hair_edge = u * u / (identity.head_width + 0.10) ** 2
    up = np.where(v < 0, v / 1.08, v * (3.0 - 2.4 * identity.hair_length))
    paint(canvas, inside((np.sqrt(hair_edge + up * up) - 1) * 0.8, pixel), identity.hair * 0.85)
    paint(canvas, inside(np.maximum(np.abs(u) - 0.42, 0.7 - v), pixel), identity.skin * 0.72)

    skin = identity.skin * _relief(frame, radius, expression, identity, capture)
    face = inside((radius - 1) * 0.8, pixel)
    paint(canvas, face, skin)

    jaw = np.maximum(0.30 - frame.g, 0.62 - radius)
    paint(canvas, inside(jaw, pixel * 4) * face * identity.beard, identity.hair * 0.8)

    off_parting = u - identity.parting
    fringe = v - (identity.hairline + 0.28 * off_parting * off_parting)
    paint(canvas, inside(fringe, pixel * 1.5) * inside((radius - 1.04) * 0.8, pixel), identity.hair)
    return canvas


def _relief(
    frame: Frame, radius: Float32Array, expression: Expression, identity: Identity, capture: Capture
) -> Float32Array:
    """Return the (n, size, size) brightness of the skin: light, roundness, nose, wrinkles and folds."""
    f, g, outward = frame.f, frame.g, frame.outward
    shade = 1.0 + capture.light_x * frame.u - capture.light_y * frame.v
    shade -= 0.22 * radius * radius
    # The nose: one flank in shadow, a bright tip, dark nostrils that the wrinkler pulls up.
    lit_from_left = (capture.light_x >= 0).astype(np.float32)
    lift = 0.05 * expression.nose_wrinkler
    tip = identity.nose_length - lift
    length = bump((g - 0.5 * tip + 0.08) / 0.34)
    shade -= 0.16 * length * bump((f - 0.10) / 0.09) * (1 - 0.55 * lit_from_left)
    shade -= 0.16 * length * bump((f + 0.10) / 0.09) * (0.45 + 0.55 * lit_from_left)
    shade += 0.10 * bump(f / 0.09) * bump((g - tip + 0.03) / 0.22)
    shade -= 0.45 * bump((outward - 0.6 * identity.nose_width) / 0.065) * bump((g - tip - 0.045) / 0.05)
    # Wrinkles across the root of the nose; furrows between the brows.
    root = bump(f / 0.17)
    shade -= expression.nose_wrinkler * root * (0.40 * bump((g + 0.17) / 0.06) + 0.40 * bump((g + 0.04) / 0.06))
    shade -= 0.42 * expression.brow_lowerer * bump((outward - 0.06) / 0.05) * bump((g + 0.36) / 0.13)
    # Raised brows fold the forehead.
    raised = 0.5 * (expression.inner_brow_raiser + expression.outer_brow_raiser)
    shade -= 0.14 * raised * bump(f / 0.45) * (bump((g + 0.60) / 0.045) + bump((g + 0.70) / 0.045))
    # Nasolabial folds: from the wing of the nose round the corner of the mouth.
    pulled = expression.lip_corner_puller + np.maximum(frame.side * expression.unilateral_dimpler, 0)
    depth = 0.10 + identity.age + 0.55 * pulled + 0.6 * expression.nose_wrinkler + 0.4 * expression.upper_lip_raiser
    down = np.clip((g - tip + 0.02) * 2.4, 0, 1)
    course = identity.nose_width + 0.05 + (0.20 + 0.06 * pulled) * down * (1.25 - 0.25 * down)
    shade -= 0.38 * depth * bump((outward - course) / 0.05) * bump((g - tip - 0.14) / 0.27)
    # Cheeks: raised, they catch light and fold below the eye.
    cheek = bump((outward - 0.40) / 0.24)
    shade += 0.12 * expression.cheek_raiser * cheek * bump((g - 0.13) / 0.17)
    shade -= 0.26 * expression.cheek_raiser * cheek * bump((g + 0.045) / 0.05)
    # The dimple beside one corner; the boss of a raised chin.
    one_side = np.maximum(frame.side * expression.unilateral_dimpler, 0)
    corner = identity.mouth_height - 0.24 * one_side
    shade -= 0.40 * one_side * bump((outward - identity.mouth_width - 0.085) / 0.05) * bump((g - corner) / 0.11)
    chin = identity.mouth_height + 0.19 - 0.03 * expression.chin_raiser + 0.12 * expression.jaw_drop
    shade -= (0.10 + 0.25 * expression.chin_raiser) * bump(f / 0.17) * bump((g - chin) / 0.05)
    return shade


def _eyes(canvas: Float32Array, frame: Frame, expression: Expression, identity: Identity, capture: Capture) -> None:
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
    opening = inside(np.maximum(top - g, g - bottom), pixel) * within
    paint(canvas, opening, np.full_like(identity.iris, 0.93))
    gazed = (frame.outward - identity.eye_distance) * frame.side - capture.gaze
    dy = g - height + 0.008
    distance = np.sqrt(gazed * gazed + dy * dy)
    paint(canvas, opening * inside(distance - 0.082, pixel), identity.iris)
    paint(canvas, opening * inside(distance - 0.038, pixel), np.full_like(identity.iris, 0.03))
    # The lash line, and the crease of the upper lid, which a raised lid brings closer.
    within = np.maximum(1 - across * across * 0.85, 0)
    lash = inside(np.abs(g - top) - 0.020, pixel) * np.minimum(within * 3, 1)
    paint(canvas, lash * 0.85, identity.skin * 0.18)
    lid = inside(np.abs(g - bottom) - 0.008, pixel) * np.minimum(within * 2, 1)
    paint(canvas, lid * 0.45, identity.skin * 0.45)
    crease = inside(np.abs(g - top + 0.055) - 0.006, pixel) * within
    paint(canvas, crease * 0.35, identity.skin * 0.5)


def _brows(canvas: Float32Array, frame: Frame, expression: Expression, identity: Identity) -> None:
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
    cover = inside(np.maximum(np.abs(frame.g - course) - thickness, past_end * 0.40), frame.pixel)
    paint(canvas, cover * 0.9, identity.hair * 0.6)


def _mouth(canvas: Float32Array, frame: Frame, expression: Expression, identity: Identity) -> None:
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
    lips = inside(np.maximum(np.maximum(lip_top - g, g - lip_bottom), ends), pixel)
    red = identity.skin * np.array([0.80, 0.55, 0.55], dtype=np.float32)[:, None, None, None]
    paint(canvas, lips * 0.85, red)
    # The dark of the open mouth, or the line of the closed one; its teeth hang from the upper lip.
    dark = inside(np.maximum(np.maximum(top - 0.012 - g, g - bottom - 0.012), ends), pixel)
    paint(canvas, dark * 0.92, identity.skin * 0.14)
    teeth = np.maximum(top + 0.004 - g, g - np.minimum(bottom - 0.01, top + 0.075))
    teeth = np.maximum(teeth, ends + 0.2 * width)
    shown = np.clip(26 * parted - 0.15, 0, 1)
    paint(canvas, inside(teeth, pixel) * shown * 0.9, np.full_like(identity.skin, 0.93))


def _glasses(canvas: Float32Array, frame: Frame, identity: Identity, capture: Capture) -> None:
    dx = np.abs(frame.outward - identity.eye_distance) - 0.15
    dy = np.abs(frame.g + 0.15) - 0.10
    dx, dy = np.maximum(dx, 0), np.maximum(dy, 0)
    rim = np.abs(np.sqrt(dx * dx + dy * dy) - 0.06) - 0.016
    bridge = np.maximum(np.abs(frame.g + 0.19) - 0.016, frame.outward - (identity.eye_distance - 0.20))
    cover = inside(np.minimum(rim, bridge), frame.pixel)
    paint(canvas, cover * capture.glasses, np.full_like(identity.iris, 0.08))
