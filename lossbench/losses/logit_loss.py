"""The base of losses that read each row's logits by itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..types import ModelOutput
from .arguments import check_soft_targets, logits_of, matrix
from .row_loss import RowLoss


class LogitLoss(RowLoss):
    """Mean over the batch of what each row costs by its own logits. A subclass that defines `per_sample` is complete.

    It can be called with a model's output or with logits alone. Targets may be (B, C) probabilities, as from mixup,
    votes or distillation: a row then costs the mean of its costs under each class, weighted by the probabilities. A
    subclass that overrides `value` without a `per_sample` takes class numbers only.

    Args:
        context: supplies the number of classes.
    """

    takes_soft_targets = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "value" in vars(cls) and not {"per_sample", "takes_soft_targets"} & vars(cls).keys():
            cls.takes_soft_targets = False  # the rows of a parent are not those of this value

    def inputs(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return matrix("logits", logits_of(output, self._name), targets, self.num_classes, self.num_classes)

    def per_class(self, logits: Tensor) -> Tensor:
        """Return (B, C): what each row costs with each class as its label. Override it where it is cheaper at once.

        Args:
            logits: (B, C) in float32 or float64.
        """
        labels = torch.arange(self.num_classes, device=logits.device)
        columns = [self._rows(logits, label.expand(logits.shape[0])) for label in labels]
        return torch.stack(columns, dim=1)

    def soft_rows(self, output: Any, targets: Tensor) -> Tensor:
        if not self.takes_soft_targets:
            return super().soft_rows(output, targets)
        logits = check_soft_targets(logits_of(output, self._name), targets, self.num_classes)
        costs = self.per_class(logits)
        return torch.where(targets > 0, costs * targets, 0.0).sum(dim=1)
