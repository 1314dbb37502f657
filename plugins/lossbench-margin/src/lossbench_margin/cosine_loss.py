"""The base of losses on a cosine head: the scale, which also applies to the scores."""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, ModelOutput
from lossbench.authoring import number


class CosineLoss(LogitLoss):
    """A loss on cosines whose softmax is taken of `scale` times the cosines.

    Args:
        context: supplies the number of classes.
        scale: above 0. The true class can reach a probability p if the scale is about log((C - 1) p / (1 - p)): 4 for
            p = 0.9 and 8 classes.
    """

    def __init__(self, context: LossContext, scale: float) -> None:
        super().__init__(context)
        self.scale = number("scale", scale, above=0)

    def scores(self, output: ModelOutput) -> Tensor:
        return self.scale * output.logits.float()
