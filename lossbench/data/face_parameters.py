"""Compute the parameters of each rendered face (expression, person, capture) from (data seed, index).

Images do not share a generator: every number is a hash of (data seed, split, index, stream), so that a row does not
depend on other rows. Only operations whose results IEEE 754 defines exactly (+ - * / and comparisons) are used, so that
it is also the same on every machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .counter_random import Draws, Float64Array, Int64Array, UInt64Array

Float32Array = npt.NDArray[np.float32]

CLASS_NAMES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")

# Number spaces of the hash, which must not overlap.
TRAIN, TEST, IDENTITY, TRAIN_LABELS, TEST_LABELS = range(5)
CAPTURES = 16  # added to a split: pose and light must not reuse the numbers of the expression
TRAIN_IDENTITIES, TEST_IDENTITIES = 400, 200


class Expression(NamedTuple):
    """Facial action units (Ekman & Friesen), 0 relaxed to 1 full: each (n, 1, 1) float32."""

    inner_brow_raiser: Float32Array  # AU 1
    outer_brow_raiser: Float32Array  # AU 2
    brow_lowerer: Float32Array  # AU 4
    upper_lid_raiser: Float32Array  # AU 5; negative: a drooping lid
    cheek_raiser: Float32Array  # AU 6
    lid_tightener: Float32Array  # AU 7
    nose_wrinkler: Float32Array  # AU 9
    upper_lip_raiser: Float32Array  # AU 10
    lip_corner_puller: Float32Array  # AU 12
    lip_corner_depressor: Float32Array  # AU 15
    chin_raiser: Float32Array  # AU 17
    lip_stretcher: Float32Array  # AU 20
    lip_tightener: Float32Array  # AU 23
    lips_part: Float32Array  # AU 25
    jaw_drop: Float32Array  # AU 26
    unilateral_dimpler: Float32Array  # AU 12 and 14 on one side; the sign selects the side
    brow_asymmetry: Float32Array  # not an action unit: one brow higher than the other


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


# Full-intensity expressions, after EMFACS.
PROTOTYPES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"cheek_raiser": 0.8, "lip_corner_puller": 1.0, "lips_part": 0.7},
    "sadness": {"inner_brow_raiser": 1.0, "brow_lowerer": 0.3, "lip_corner_depressor": 1.0, "chin_raiser": 0.6,
                "upper_lid_raiser": -0.6},
    "surprise": {"inner_brow_raiser": 1.0, "outer_brow_raiser": 1.0, "upper_lid_raiser": 0.9, "lips_part": 0.5,
                 "jaw_drop": 1.0},
    "fear": {"inner_brow_raiser": 1.0, "outer_brow_raiser": 0.4, "brow_lowerer": 0.4, "upper_lid_raiser": 1.0,
             "lip_stretcher": 1.0, "lips_part": 0.7, "jaw_drop": 0.3},
    "disgust": {"brow_lowerer": 0.4, "cheek_raiser": 0.3, "lid_tightener": 0.5, "nose_wrinkler": 1.0,
                "upper_lip_raiser": 1.0, "lip_corner_depressor": 0.3, "chin_raiser": 0.5},
    "anger": {"brow_lowerer": 1.0, "upper_lid_raiser": 0.3, "lid_tightener": 0.6, "lip_tightener": 1.0,
              "chin_raiser": 0.4},
    "contempt": {"unilateral_dimpler": 1.2, "brow_asymmetry": 1.2, "upper_lid_raiser": -0.8, "lid_tightener": 0.3,
                 "lip_tightener": 0.3},
}  # fmt: skip

# Neighbors towards which `overlap` moves a rare class, with their shares at overlap 1. Contempt keeps half of its own
# expression, because it is subtle: one raised corner of the mouth, in 1.3 % of the training images.
NEIGHBOURS: dict[str, dict[str, float]] = {
    "contempt": {"neutral": 0.25, "happiness": 0.25},
    "fear": {"surprise": 1.0},
    "disgust": {"anger": 1.0},
}

_SIGNED_UNITS = ("upper_lid_raiser", "unilateral_dimpler", "brow_asymmetry")
LOWEST_INTENSITY = 0.5
JITTER, JITTER_OF_OVERLAP = 0.06, 0.15
IDENTITY_BIAS = 0.06


def persons_of(data_seed: int, split: int, index: Int64Array) -> Int64Array:
    """Return (n,) person numbers, which are disjoint between the two splits."""
    first, number = (0, TRAIN_IDENTITIES) if split == TRAIN else (TRAIN_IDENTITIES, TEST_IDENTITIES)
    return first + (Draws(data_seed, split, index).uniform() * number).astype(np.int64)


def prototypes(overlap: float) -> Float64Array:
    """Return (8, units) action units at full intensity, with the rare classes moved towards their neighbors."""
    pure = np.array([[PROTOTYPES[name].get(unit, 0.0) for unit in Expression._fields] for name in CLASS_NAMES])
    moved = pure.copy()
    for name, shares in NEIGHBOURS.items():
        row = CLASS_NAMES.index(name)
        moved[row] *= 1 - overlap * sum(shares.values())
        for neighbour, share in shares.items():
            moved[row] += overlap * share * pure[CLASS_NAMES.index(neighbour)]
    return moved


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
