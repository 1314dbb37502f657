"""Softmax: cross-entropy of the softmax of the logits.

For logits z_i in R^C and targets y_i,

    L = 1/B sum_i (logsumexp(z_i) - z_{i, y_i})          [nats]

An empty batch gives a zero connected to the graph. There is no ignored label: -100 is an error.
"""

from __future__ import annotations

from torch import Tensor

from ..loss import Loss
from ..ops.cross_entropy import NEVER_A_LABEL, cross_entropy
from ..spec import LossSpec
from ..traits import Need, Trait
from ..types import LossContext, ModelOutput
from . import loops
from .arguments import check_target_range, matrix

__all__ = ["NEVER_A_LABEL", "SPEC", "SoftmaxLoss", "softmax"]


def softmax(logits: Tensor, targets: Tensor, *, reduction: str = "none") -> Tensor:
    """Softmax cross-entropy of each sample.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) class numbers in [0, C).
        reduction: "none", or "mean" for their mean, which is 0 without samples.

    Returns:
        (B,) losses in nats, or ().

    Example:
        >>> import torch
        >>> softmax(torch.zeros(1, 2), torch.tensor([1]))
        tensor([0.6931])
    """
    return cross_entropy(logits, targets, reduction=reduction)


class SoftmaxLoss(Loss):
    """Mean of `softmax` over the batch.

    Args:
        context: supplies the number of classes.
    """

    traits = frozenset(
        {
            Trait.SAMPLEWISE,
            Trait.SHARDABLE,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.VMAP,
            Trait.SHIFT_INVARIANT,
            Trait.MONOTONE,
            Trait.CONVEX,
            Trait.ZERO_AT_SEPARATION,
            Trait.WEIGHTED_LIKELIHOOD,
            Trait.SCALE_SAFE,
            Trait.FULLGRAPH,
        }
    )

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes = context.num_classes

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        logits = matrix("logits", output.logits, targets, self.num_classes, self.num_classes)
        try:
            return softmax(logits, targets.long(), reduction="mean")
        except IndexError:
            check_target_range(targets, self.num_classes)
            raise


SPEC = LossSpec(
    name="softmax",
    factory=SoftmaxLoss,
    summary="Softmax cross-entropy.",
    reference="-",
    needs=frozenset({Need.LOGITS}),
    traits=SoftmaxLoss.traits,
    loop=loops.softmax,
    use_when="classes are about equally frequent, or as what every other loss is compared with",
    avoid_when="rare classes must be found: it learns the training set's frequencies too",
)
