"""A finished run of a comparison, a run that cannot take part, and a trial of a tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..runs.history import HistoryRow
from ..runs.predictions import Predictions, read_predictions
from ..runs.record import Record
from .thresholds import Thresholds

DAMAGED = "damaged"


Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Run:
    """A finished run whose files fit each other.

    Attributes:
        directory: where it lies.
        loss: as written.
        copy: 2 for the second run of a loss that is listed twice, and so on.
        sampler: how training rows were drawn.
        seed: of the run.
        record: content of `record.json`.
        history: rows of `history.jsonl`.
        predicted: (N,) predicted classes of the test images.
        targets: (N,) classes of the test images; one array for all runs that share them.
        thresholds: decision rules.
    """

    directory: Path
    loss: str
    sampler: str
    seed: int
    record: Record = field(repr=False)
    history: tuple[HistoryRow, ...] = field(repr=False)
    predicted: Ints = field(repr=False)
    targets: Ints = field(repr=False)
    thresholds: Thresholds = field(repr=False)
    copy: int = 1

    @property
    def predictions(self) -> Predictions:
        """Arrays of `predictions.npz` without embeddings, read at every access: those of all runs do not fit memory."""
        return read_predictions(self.directory, self.record)

    def with_embeddings(self) -> Predictions:
        """Read the predictions with embeddings and centers, which are large and stay on disk until then."""
        return read_predictions(self.directory, self.record, embeddings=True)


@dataclass(frozen=True)
class Problem:
    """A run that cannot take part.

    Attributes:
        loss: the entrant's name, or that of the directory if its options cannot be read.
        sampler: how training rows are drawn; empty if unknown.
        seed: of the run; -1 if unknown.
        status: "failed", "diverged", "missing" or "damaged".
        message: the reason.
    """

    loss: str
    sampler: str
    seed: int
    status: str
    message: str

    @property
    def run(self) -> str:
        """Which run it is."""
        return self.loss if self.seed < 0 else f"{self.loss}, {self.sampler}, seed {self.seed}"


@dataclass(frozen=True)
class Trial:
    """A trial of a tuning.

    Attributes:
        loss: the entrant's name.
        sampler: how training rows were drawn.
        values: option or hyper-parameter -> value.
        score: balanced accuracy on the selection split; None if the trial has no usable record.
        name: of its directory.
    """

    loss: str
    sampler: str
    values: dict[str, float]
    score: float | None
    name: str
