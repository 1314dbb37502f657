"""Compare an export with its run on the run's test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.read_images import read_as
from ..data.table import ImageTable
from ..errors import DataError, ModelError
from ..harness.evaluation.trained_run import TrainedRun
from .build import Floats, Predict

MOST_DIFFERENCE = 1e-5
MOST_IMAGES = 256
_BATCH = 32


@dataclass(frozen=True)
class Agreement:
    """How an export agrees with its run.

    Attributes:
        images: number of test images that were compared.
        largest_difference: largest absolute difference of a probability between the export and the run.
        from_stored: the same between the export and the predictions that the run stored, which another device or
            precision may have computed.
    """

    images: int
    largest_difference: float
    from_stored: float


def checked(predict: Predict, run: TrainedRun, table: ImageTable, stored: Floats, *, shifted: bool) -> Agreement:
    """Return how an export agrees with its run, in batches of one and of several images.

    Args:
        predict: the export.
        run: the run, on the CPU.
        table: its test images.
        stored: (N, C) probabilities of its stored predictions, in the order of the table.
        shifted: whether the export contains the shift of the scores.

    Raises:
        ModelError: the largest difference is above `MOST_DIFFERENCE`.
        DataError: an image cannot be read.
    """
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), MOST_IMAGES)).round().astype(int))
    if not len(rows):
        raise DataError(f"{run.directory} has no test images to check the export on")
    table.prepare()
    table = read_as(table, run.record.model.reading)
    module = run.shifted_module() if shifted else run.module
    differences = []
    for start in (0, *range(1, len(rows), _BATCH)):
        batch = rows[:1] if start == 0 else rows[start : start + _BATCH]
        images = _images(table, run, batch)
        found = predict(images)
        expected = run.probabilities(images, module)
        if found.shape != expected.shape:
            raise ModelError(f"the export returns shape {found.shape} for {len(batch)} images, not {expected.shape}")
        differences.append((np.abs(found - expected).max(), np.abs(found - stored[batch]).max()))
    largest, from_stored = np.max(differences, axis=0).tolist()  # a NaN stays a NaN
    if not largest <= MOST_DIFFERENCE:
        raise ModelError(
            f"the export differs from the run by {largest:.1e} on its test images, and {MOST_DIFFERENCE:.0e} is the "
            "most that is accepted; nothing was written. Pass another format to --to"
        )
    return Agreement(len(rows), largest, from_stored)


def _images(table: ImageTable, run: TrainedRun, rows: npt.NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.stack([run.prepare(table.read(int(row))) for row in rows])).permute(0, 3, 1, 2)
