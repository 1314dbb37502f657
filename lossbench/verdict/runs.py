"""A finished run of a comparison, a run that cannot take part, and a trial of a tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..runs.history import HistoryRow
from ..runs.predictions import Predictions, SplitPredictions, read_predictions
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
        fold: the test fold, from 1; None without folds, and for all folds together.
        folds: runs that this one joins, one per fold, so that each image is tested once; empty for a run on disk.
        rows: (N,) rows of the folds' test images one after another, in the order of `predicted`.
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
    fold: int | None = None
    folds: tuple[Run, ...] = field(default=(), repr=False)
    rows: Ints | None = field(default=None, repr=False)

    @property
    def trained(self) -> tuple[Run, ...]:
        """The models behind the predictions: one per fold, or this run."""
        return self.folds or (self,)

    @property
    def predictions(self) -> Predictions:
        """Arrays of `predictions.npz` without embeddings, read at every access: those of all runs do not fit memory."""
        if self.folds:
            return joined_predictions([run.predictions for run in self.folds], self.rows)
        return read_predictions(self.directory, self.record)

    def with_embeddings(self) -> Predictions:
        """Read the predictions with embeddings and centers, which are large and stay on disk until then.

        Each fold has a model, and so a space of embeddings, of its own: call this for each of `trained`.
        """
        return read_predictions(self.directory, self.record, embeddings=True)


def joined_predictions(folds: Sequence[Predictions], rows: Ints | None) -> Predictions:
    """Return the predictions of all folds.

    Args:
        folds: predictions of each fold.
        rows: (N,) order of the test images; None for that of the folds.
    """

    def together(parts: Sequence[SplitPredictions], order: Ints | slice) -> SplitPredictions:
        ids = [part.sample_ids for part in parts if part.sample_ids is not None]
        return SplitPredictions(
            scores=np.concatenate([part.scores for part in parts])[order],
            targets=np.concatenate([part.targets for part in parts])[order],
            sample_ids=np.concatenate(ids)[order] if len(ids) == len(parts) else None,
        )

    order = slice(None) if rows is None else rows
    refits = [fold.refit_scores for fold in folds if fold.refit_scores is not None]
    selections = [fold.selection for fold in folds if fold.selection is not None]
    return Predictions(
        test=together([fold.test for fold in folds], order),
        selection=together(selections, slice(None)) if selections else None,
        refit_scores=np.concatenate(refits)[order] if len(refits) == len(folds) else None,
    )


@dataclass(frozen=True)
class Problem:
    """A run that cannot take part.

    Attributes:
        loss: the entrant's name, or that of the directory if its options cannot be read.
        sampler: how training rows are drawn; empty if unknown.
        seed: of the run; -1 if unknown.
        status: "failed", "diverged", "missing" or "damaged".
        message: the reason.
        fold: the test fold, from 1; None without folds.
    """

    loss: str
    sampler: str
    seed: int
    status: str
    message: str
    fold: int | None = None

    @property
    def run(self) -> str:
        """Which run it is."""
        fold = f", fold {self.fold}" if self.fold else ""
        return self.loss if self.seed < 0 else f"{self.loss}, {self.sampler}, seed {self.seed}{fold}"


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
