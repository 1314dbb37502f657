"""The base of losses that read each row's logits by itself."""

from __future__ import annotations

from torch import Tensor

from ..types import ModelOutput
from .arguments import matrix
from .row_loss import RowLoss


class LogitLoss(RowLoss):
    """Mean over the batch of what each row costs by its own logits. A subclass that defines `per_sample` is complete.

    Args:
        context: supplies the number of classes.
    """

    def inputs(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return matrix("logits", output.logits, targets, self.num_classes, self.num_classes)
