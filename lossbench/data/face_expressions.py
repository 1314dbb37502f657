"""The expressions of rendered faces: facial action units, and those that each class shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .counter_random import Float64Array

Float32Array = npt.NDArray[np.float32]

CLASS_NAMES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")


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
