"""The base of losses on the logits of a cosine head: the scale, the scores, and a check of the head."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError
from ..types import LossContext, ModelOutput
from .arguments import logits_of, values_are_readable
from .hyperparameters import number
from .logit_loss import LogitLoss

_LARGEST_COSINE = 1.01  # half precision rounds up to 1.004


class CosineLoss(LogitLoss):
    """A loss on cosines whose softmax is taken of `scale` times the cosines.

    The first training batch on the CPU is checked, because plain logits would starve the loss without an error. float64
    is exempt: it serves to check the mathematics, which hold for any logits.

    Args:
        context: supplies the number of classes.
        scale: above 0. The true class can reach a probability p if the scale is about log((C - 1) p / (1 - p)): 4 for
            p = 0.9 and 8 classes.
    """

    def __init__(self, context: LossContext, scale: float) -> None:
        super().__init__(context)
        self.scale = number("scale", scale, above=0)
        self._head_is_checked = False

    def inputs(self, output: ModelOutput, targets: Tensor) -> Tensor:
        logits = super().inputs(output, targets)
        if not self._head_is_checked and self.reminds and self.training and values_are_readable(targets):
            self._head_is_checked = True
            self._check_head(logits.detach())
        return logits

    def _check_head(self, logits: Tensor) -> None:
        largest = float(logits.abs().max()) if logits.dtype is torch.float32 and logits.numel() else 0.0
        if largest > _LARGEST_COSINE:
            raise UsageError(
                f"{self._name} reads cosines in [-1, 1], and the logits reach {largest:.4g}: use a head without bias "
                "on unit vectors, head = lossbench.CosineHead(embedding_dim, num_classes)"
            )

    def scores(self, output: ModelOutput) -> Tensor:
        logits = logits_of(output, self._name)
        return self.scale * logits.to(torch.promote_types(logits.dtype, torch.float32))
