"""The base of losses that read each row's logits by itself: checks, the mean over the batch, clear errors."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from ..loss import Loss
from ..types import LossContext, ModelOutput
from .arguments import check_target_range, matrix, values_are_readable


class LogitLoss(Loss):
    """Mean over the batch of what each row costs by its own logits. A subclass with `per_sample` alone is complete.

    An empty batch gives a zero connected to the graph.

    Args:
        context: supplies the number of classes.
    """

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes = context.num_classes

    @abstractmethod
    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(B,) losses.

        Args:
            logits: (B, C) in float32 or float64.
            targets: (B,) int64; a label outside [0, C) may raise an IndexError or RuntimeError, which is translated.
        """

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        logits = matrix("logits", output.logits, targets, self.num_classes, self.num_classes)
        targets = targets.long()
        try:
            return self.per_sample(logits, targets).sum() / max(len(targets), 1)
        except (IndexError, RuntimeError):
            if values_are_readable(targets):
                check_target_range(targets, self.num_classes)
            raise
