"""What a trainer remembers of the current epoch and of the steps that the guard has not checked yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ...types import ModelOutput


class RecentStep(NamedTuple):
    """A step that the guard has not checked yet.

    Attributes:
        step: number of the step, as the guard counts.
        epoch: epoch, counted from 0.
        output: detached output of the model.
        targets: (B,) targets.
        rows: (B,) rows of the training table.
        random_state: random state of torch on the CPU before the step.
        batch: number of the batch in the epoch.
        of_all: outputs and targets of all processes if the loss was computed on these, else None.
    """

    step: int
    epoch: int
    output: ModelOutput
    targets: Tensor
    rows: Tensor
    random_state: Tensor
    batch: int
    of_all: tuple[ModelOutput, Tensor] | None = None


@dataclass
class EpochSoFar:
    """The finished part of an epoch.

    Attributes:
        step: number of optimizer steps.
        total: sum of the loss over the rows of this process; None before the first step.
        rows_left_out: rows of whole batches whose step was skipped.
        seconds: duration so far.
        begun: whether `begin_epoch` of the loss was called.
    """

    step: int = 0
    total: Tensor | None = None
    rows_left_out: int = 0
    seconds: float = 0.0
    begun: bool = False
