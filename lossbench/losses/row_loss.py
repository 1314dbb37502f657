"""The base of losses that are a mean over the rows of a batch: checks, the mean, clear errors."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from ..loss import Loss
from ..traits import MEAN_OF_ROWS
from ..types import LossContext, ModelOutput
from .arguments import check_target_range, values_are_readable


class RowLoss(Loss):
    """Mean over the batch of what each row costs.

    A subclass reads the logits (`LogitLoss`) or the embeddings (`EmbeddingLoss`). One that defines `per_sample` is
    complete; one whose value is not the mean of that overrides `value` and states its own traits.
    An empty batch gives a zero connected to the graph.

    Args:
        context: supplies the number of classes.
    """

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes = context.num_classes

    @abstractmethod
    def inputs(self, output: ModelOutput, targets: Tensor) -> Tensor:
        """Return what the loss reads, in float32 or float64, after checking it and the targets."""

    def per_sample(self, inputs: Any, targets: Tensor) -> Tensor:
        """Return the (B,) losses of the rows.

        Args:
            inputs: (B, C) logits or (B, D) embeddings in float32 or float64.
            targets: (B,) int64; a label outside [0, C) may raise an IndexError or RuntimeError, which is translated.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither per_sample nor value")

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, (); the arguments are those of `per_sample`."""
        return self.per_sample(inputs, targets).sum() / max(len(targets), 1)

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        inputs = self.inputs(output, targets)
        targets = targets.long()
        try:
            return self.value(inputs, targets)
        except (IndexError, RuntimeError):
            if values_are_readable(targets):
                check_target_range(targets, self.num_classes)
            raise
