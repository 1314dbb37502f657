"""Generalised cross-entropy: between cross-entropy and the error in probability, for noisy labels.

For logits z_i in R^C, targets y_i and p = softmax(z_i)[y_i],

    L = 1/B sum_i (1 - p^q) / q          0 < q <= 1; the limit at q = 0 is -log p, plain softmax

q = 1 is 1 - p, half the mean absolute error between softmax and one-hot label, which makes the loss robust: a row costs
at most 1/q, and a very wrong row, such as one with a false label, has a small gradient. For the same reason it learns
slowly from scratch; the paper uses q = 0.7. Values are dimensionless at q = 1 and approach nats as q approaches 0.

Computed as -expm1(q log p) / q, which is exact for p near 1. The paper's truncated form, which drops rows with p below
a threshold, is another loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need, Trait
from lossbench.authoring import OF_LOG_SOFTMAX, number, softmax

from .loops import generalised_cross_entropy as loop


def generalised_cross_entropy(logits: Tensor, targets: Tensor, q: float) -> Tensor:
    """Return the generalised cross-entropy of each sample.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) class numbers in [0, C).
        q: in [0, 1]; 0 gives cross-entropy.

    Returns:
        (B,) losses.

    Example:
        >>> generalised_cross_entropy(torch.zeros(1, 4), torch.tensor([1]), q=0.5)
        tensor([1.])
    """
    cross_entropy = softmax(logits, targets)
    return -torch.expm1(-q * cross_entropy) / q if q > 0 else cross_entropy


class GeneralisedCrossEntropyLoss(LogitLoss):
    """Mean of `generalised_cross_entropy` over the batch.

    Args:
        context: supplies the number of classes.
        q: in [0, 1]; 0 is cross-entropy, 1 the error in probability.
    """

    traits = OF_LOG_SOFTMAX | {Trait.MONOTONE, Trait.ZERO_AT_SEPARATION}

    def __init__(self, context: LossContext, *, q: float = 0.7) -> None:
        super().__init__(context)
        self.q = number("q", q, minimum=0, maximum=1)
        if self.q == 0:
            self.traits = GeneralisedCrossEntropyLoss.traits | {Trait.CONVEX, Trait.WEIGHTED_LIKELIHOOD}
        else:
            self.upper_bound = 1 / self.q

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return generalised_cross_entropy(logits, targets, self.q)

    def per_class(self, logits: Tensor) -> Tensor:
        cross_entropy = -logits.log_softmax(dim=1)
        return -torch.expm1(-self.q * cross_entropy) / self.q if self.q > 0 else cross_entropy


SPEC = LossSpec(
    name="generalised-cross-entropy",
    factory=GeneralisedCrossEntropyLoss,
    summary="Between cross-entropy and the error in probability; bounded, for noisy labels.",
    reference="Zhang and Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels, "
    "NeurIPS 2018, arXiv 1805.07836",
    needs=frozenset({Need.LOGITS}),
    variants=({"q": 0.1}, {"q": 1.0}),
    limits=(({"q": 0.0}, "softmax"),),
    loop=loop,
    use_when="some labels are wrong: a row that contradicts its label has a small gradient",
    avoid_when="labels are clean, or hard rows matter: it learns slowly from misclassified rows",
)
