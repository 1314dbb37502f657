"""Softmax: cross-entropy of the softmax of the logits.

For logits z_i in R^C and targets y_i,

    L = 1/B sum_i (logsumexp(z_i) - z_{i, y_i})          [nats]

An empty batch gives a zero connected to the graph. No label is ignored: -100 is an error.
"""

from __future__ import annotations

from torch import Tensor

from ..ops.cross_entropy import NEVER_A_LABEL, cross_entropy
from ..spec import LossSpec
from ..traits import LIKELIHOOD, Need
from . import loops
from .logit_loss import LogitLoss

__all__ = ["NEVER_A_LABEL", "SPEC", "SoftmaxLoss", "softmax"]


def softmax(logits: Tensor, targets: Tensor, *, reduction: str = "none") -> Tensor:
    """Return the softmax cross-entropy of each sample.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) class numbers in [0, C).
        reduction: "none", or "mean" for the mean over the samples, which is 0 for an empty batch.

    Returns:
        (B,) losses in nats, or ().

    Example:
        >>> import torch
        >>> softmax(torch.zeros(1, 2), torch.tensor([1]))
        tensor([0.6931])
    """
    return cross_entropy(logits, targets, reduction=reduction)


class SoftmaxLoss(LogitLoss):
    """Mean of `softmax` over the batch.

    Args:
        context: supplies the number of classes.
    """

    traits = LIKELIHOOD

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets)

    def per_class(self, logits: Tensor) -> Tensor:
        return -logits.log_softmax(dim=1)

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not self._has_rows_of(SoftmaxLoss):
            return super().value(logits, targets)
        return softmax(logits, targets, reduction="mean")


SPEC = LossSpec(
    name="softmax",
    factory=SoftmaxLoss,
    summary="Softmax cross-entropy.",
    reference="-",
    needs=frozenset({Need.LOGITS}),
    loop=loops.softmax,
    use_when="classes are about equally frequent, or as the baseline for every other loss",
    avoid_when="rare classes must be found: it also learns the class frequencies of the training set",
)
