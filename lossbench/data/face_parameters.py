"""Compute the parameters of each rendered face (expression, person, capture) from (data seed, index).

Images do not share a generator: every number is a hash of (data seed, split, index, stream), so that a row does not
depend on other rows. Only operations whose results IEEE 754 defines exactly (+ - * / and comparisons) are used, so that
it is also the same on every machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .counter_random import Draws, Float64Array, Int64Array, UInt64Array
from .face_expressions import Expression, Float32Array, prototypes

# Number spaces of the hash, which must not overlap.
TRAIN, TEST, IDENTITY, TRAIN_LABELS, TEST_LABELS = range(5)
CAPTURES = 16  # added to a split: pose and light must not reuse the numbers of the expression
TRAIN_IDENTITIES, TEST_IDENTITIES = 400, 200


class Identity(NamedTuple):
    """The features that all images of a person share: each (n, 1, 1) float32, colors (3, n, 1, 1) in [0, 1]."""

    skin: Float32Array
    hair: Float32Array
    iris: Float32Array
    head_width: Float32Array
    head_height: Float32Array
    jaw_taper: Float32Array
    hairline: Float32Array
    parting: Float32Array
    hair_length: Float32Array  # 0: to the temples, 1: to the shoulders
    eye_distance: Float32Array
    eye_width: Float32Array
    eye_opening: Float32Array
    brow_height: Float32Array
    brow_thickness: Float32Array
    nose_length: Float32Array
    nose_width: Float32Array
    mouth_height: Float32Array
    mouth_width: Float32Array
    lip_thickness: Float32Array
    beard: Float32Array  # opacity
    age: Float32Array  # depth of the folds at rest


class Capture(NamedTuple):
    """Pose, light and camera: each (n, 1, 1) float32; pixel_key (n, 1, 1) uint64."""

    roll_half_tangent: Float32Array
    yaw: Float32Array
    pitch: Float32Array
    scale: Float32Array
    shift_x: Float32Array
    shift_y: Float32Array
    light_x: Float32Array
    light_y: Float32Array
    gaze: Float32Array
    glasses: Float32Array  # opacity of the frame
    background: Float32Array  # (3, n, 1, 1)
    blur: Float32Array
    noise: Float32Array
    brightness: Float32Array
    contrast: Float32Array
    pixel_key: UInt64Array


_SIGNED_UNITS = ("upper_lid_raiser", "unilateral_dimpler", "brow_asymmetry")
LOWEST_INTENSITY = 0.5
JITTER, JITTER_OF_OVERLAP = 0.06, 0.15
IDENTITY_BIAS = 0.06


def persons_of(data_seed: int, split: int, index: Int64Array) -> Int64Array:
    """Return (n,) person numbers, which are disjoint between the two splits."""
    first, number = (0, TRAIN_IDENTITIES) if split == TRAIN else (TRAIN_IDENTITIES, TEST_IDENTITIES)
    return first + (Draws(data_seed, split, index).uniform() * number).astype(np.int64)


def expressions(
    data_seed: int, split: int, index: Int64Array, labels: Int64Array, *, overlap: float, intensity: float | None = None
) -> Expression:
    """Return the action units of rows: intensity x prototype + person offset + image jitter.

    Args:
        labels: (n,) depicted classes.
        overlap: 0 for well separated classes; with 1, fear looks like surprise and disgust like anger.
        intensity: fixed intensity instead of a random one from [0.5, 1), to show the prototypes.
    """
    draws = Draws(data_seed, split, index)
    draws.uniform()  # the first stream selected the person
    habits = Draws(data_seed, IDENTITY, persons_of(data_seed, split, index))
    strength = draws.uniform(LOWEST_INTENSITY, 1.0) if intensity is None else np.full(index.shape, intensity)
    side = np.where(draws.uniform() < 0.5, -1.0, 1.0)
    jitter = JITTER + JITTER_OF_OVERLAP * overlap
    units = []
    for unit, prototype in zip(Expression._fields, prototypes(overlap).T, strict=True):
        level = strength * prototype[labels]
        if unit in ("unilateral_dimpler", "brow_asymmetry"):
            level = side * level
        level = level + habits.normal(0.0, IDENTITY_BIAS) + draws.normal(0.0, jitter)
        lowest = -1.4 if unit in _SIGNED_UNITS else 0.0
        units.append(_column(np.minimum(np.maximum(level, lowest), 1.4)))
    return Expression(*units)


def identities(data_seed: int, persons: Int64Array) -> Identity:
    """Return the features of these persons, given (n,) person numbers."""
    draws = Draws(data_seed, IDENTITY, persons)
    for _ in Expression._fields:  # the first streams are the person's offsets
        draws.bits()
    tone, dark, grey = draws.uniform(), draws.uniform(), draws.uniform()
    skin = _between(tone, (0.95, 0.78, 0.68), (0.56, 0.38, 0.28))
    hair = _between(dark, (0.08, 0.06, 0.05), (0.62, 0.45, 0.24))
    hair = np.where(_column(grey) < 0.12, np.float32(0.62), hair)
    beard = draws.uniform()
    return Identity(
        skin=skin,
        hair=hair,
        iris=_between(draws.uniform(), (0.16, 0.09, 0.05), (0.25, 0.38, 0.45)),
        head_width=_column(draws.normal(0.74, 0.035)),
        head_height=_column(draws.normal(0.98, 0.03)),
        jaw_taper=_column(draws.uniform(0.05, 0.22)),
        hairline=_column(draws.uniform(-0.80, -0.64)),
        parting=_column(draws.uniform(-0.4, 0.4)),
        hair_length=_column(draws.uniform(0.0, 1.0)),
        eye_distance=_column(draws.normal(0.325, 0.015)),
        eye_width=_column(draws.normal(0.175, 0.010)),
        eye_opening=_column(draws.normal(0.078, 0.007)),
        brow_height=_column(draws.normal(-0.40, 0.018)),
        brow_thickness=_column(draws.uniform(0.032, 0.052)),
        nose_length=_column(draws.normal(0.20, 0.02)),
        nose_width=_column(draws.normal(0.125, 0.012)),
        mouth_height=_column(draws.normal(0.53, 0.02)),
        mouth_width=_column(draws.normal(0.29, 0.018)),
        lip_thickness=_column(draws.normal(0.055, 0.008)),
        beard=_column(np.where(beard < 0.25, 0.15 + 2.2 * beard, 0.0)),
        age=_column(draws.uniform(0.0, 0.35)),
    )


def captures(data_seed: int, split: int, index: Int64Array) -> Capture:
    """Return the pose, light and camera of these rows."""
    draws = Draws(data_seed, split + CAPTURES, index)
    backdrop = [draws.uniform(0.15, 0.85) for _ in range(3)]
    grey = draws.uniform(0.15, 0.85)
    return Capture(
        roll_half_tangent=_column(draws.normal(0.0, 0.03)),
        yaw=_column(draws.normal(0.0, 0.16)),
        pitch=_column(draws.normal(0.0, 0.16)),
        scale=_column(draws.normal(1.14, 0.03)),
        shift_x=_column(draws.normal(0.0, 0.02)),
        shift_y=_column(draws.normal(-0.10, 0.02)),
        light_x=_column(draws.normal(0.0, 0.14)),
        light_y=_column(draws.normal(0.12, 0.10)),
        gaze=_column(draws.normal(0.0, 0.022)),
        glasses=_column(np.where(draws.uniform() < 0.14, 0.85, 0.0)),
        background=np.stack([_column(0.6 * grey + 0.4 * colour) for colour in backdrop]),
        blur=_column(draws.uniform(0.0, 0.6)),
        noise=_column(draws.uniform(0.005, 0.02)),
        brightness=_column(draws.normal(0.0, 0.04)),
        contrast=_column(draws.normal(1.0, 0.07)),
        pixel_key=draws.bits()[:, None, None],
    )


def _column(values: Float64Array) -> Float32Array:
    """Reshape (n,) to (n, 1, 1), to be combined with (n, height, width)."""
    return values.astype(np.float32)[:, None, None]


def _between(share: Float64Array, start: tuple[float, ...], end: tuple[float, ...]) -> Float32Array:
    """Return (3, n, 1, 1) colors between two colors."""
    return np.stack([_column(a + (b - a) * share) for a, b in zip(start, end, strict=True)])
