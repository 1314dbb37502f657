"""The progress of a run, as checkpoints store it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ...runs.history import HistoryRow
from ..training.trainer import Trainer


@dataclass
class Best:
    """The best epoch on the selection split so far, and its weights."""

    epoch: int
    balanced_accuracy: float
    weights: dict[str, Tensor]


@dataclass
class Progress:
    """The progress of a run, beyond the state of its trainer.

    Attributes:
        epoch: the current or next epoch.
        rows: rows of the history, one per finished epoch.
        best: the best epoch, if there is a selection split.
        seconds: seconds of the run before this process.
        checkpoint_seconds: seconds spent on checkpoints.
        checkpoints: number of checkpoints written.
        resumed: how many times the run was resumed.
    """

    epoch: int = 0
    rows: list[HistoryRow] = field(default_factory=list)
    best: Best | None = None
    seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    checkpoints: int = 0
    resumed: int = 0

    def where(self, trainer: Trainer | None) -> str:
        """Return the position of the run, for messages."""
        if trainer is None:
            return "its beginning"
        return f"epoch {self.epoch + 1}, step {trainer.so_far.step}"
