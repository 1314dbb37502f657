"""What the losses on a cosine head share: the scale, which counts in the scores as well."""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, ModelOutput
from lossbench.authoring import number


class CosineLoss(LogitLoss):
    """A loss on cosines whose softmax is that of `scale` times them.

    Args:
        context: supplies the number of classes.
        scale: above 0. To give the right class a probability of p at best, C classes need about
            log((C - 1) p / (1 - p)): 4 for p = 0.9 of 8 classes.
    """

    def __init__(self, context: LossContext, scale: float) -> None:
        super().__init__(context)
        self.scale = number("scale", scale, above=0)

    def scores(self, output: ModelOutput) -> Tensor:
        return self.scale * output.logits.float()
