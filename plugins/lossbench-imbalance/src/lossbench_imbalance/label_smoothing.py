"""Label smoothing: cross-entropy against a label that gives a share to every class.

For logits z_i in R^C, targets y_i and smoothing e,

    L = 1/B sum_i [ (1 - e) (-log softmax(z_i)[y_i]) + e/C sum_c (-log softmax(z_i)[c]) ]          [nats]

e = 0 is plain softmax. The minimum is not 0 but the entropy of the smoothed label, and a row with a probability above
1 - e + e/C costs more again: the loss is not monotone in the true logit.

With class weights w the parts are weighted as in torch: (1 - e) w_y (...) + e/C sum_c w_c (...).

The share e/C also goes to the true class, as in the paper and in torch. Other code distributes e over the C - 1 other
classes only, which is this loss with the smoothing e C/(C - 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from lossbench import LossContext, LossSpec, Need, Trait
from lossbench.authoring import NEVER_A_LABEL, OF_LOG_SOFTMAX, WeightedLogitLoss, number

from .loops import label_smoothing as loop


def label_smoothing(logits: Tensor, targets: Tensor, smoothing: float, weight: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of each sample against its smoothed label.

    Args:
        logits: (B, C).
        targets: (B,) class numbers in [0, C).
        smoothing: share that is distributed over all classes.
        weight: (C,) class weights, by which the parts of the smoothed label are multiplied; None for 1.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> label_smoothing(torch.tensor([[0.0, 100.0]]), torch.tensor([1]), smoothing=0.1)
        tensor([5.])
    """
    return F.cross_entropy(
        logits, targets, weight, reduction="none", label_smoothing=smoothing, ignore_index=NEVER_A_LABEL
    )


class LabelSmoothingLoss(WeightedLogitLoss):
    """Mean of `label_smoothing` over the batch.

    Args:
        context: supplies the number of classes.
        smoothing: in [0, 1).
        power: class weights n_c^-power with a mean of 1 over the training images; 0 for none.
        weights: C class weights instead, used as they are: [1, 2, 5].
        beta: class weights by effective number instead, in [0, 1).
        defer: fraction of the epochs without class weights, in [0, 1].
    """

    traits = OF_LOG_SOFTMAX | {Trait.CONVEX}

    def __init__(
        self,
        context: LossContext,
        *,
        smoothing: float = 0.1,
        power: float = 0.0,
        weights: Sequence[float] | None = None,
        beta: float | None = None,
        defer: float = 0.0,
    ) -> None:
        super().__init__(context, power=power, weights=weights, beta=beta, defer=defer)
        self.smoothing = number("smoothing", smoothing, minimum=0, below=1)
        if self.smoothing == 0:
            plain = {Trait.MONOTONE, Trait.ZERO_AT_SEPARATION, Trait.WEIGHTED_LIKELIHOOD}
            self.traits = LabelSmoothingLoss.traits | plain

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return label_smoothing(logits, targets, self.smoothing, self.weight(logits.dtype))

    def per_class(self, logits: Tensor) -> Tensor:
        cross_entropy, weight = -logits.log_softmax(dim=1), self.weight(logits.dtype)
        weighted = cross_entropy if weight is None else weight * cross_entropy
        return (1 - self.smoothing) * weighted + self.smoothing * weighted.mean(dim=1, keepdim=True)


SPEC = LossSpec(
    name="label-smoothing",
    factory=LabelSmoothingLoss,
    summary="Softmax cross-entropy against labels that give a share to every class.",
    reference="Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv 1512.00567, "
    "section 7",
    needs=frozenset({Need.LOGITS}),
    state_axes={"class_weights.weighs": ()},
    variants=({"smoothing": 0.3}, {"beta": 0.9, "defer": 0.5}),
    limits=(({"smoothing": 0.0}, "softmax"),),
    loop=loop,
    use_when="labels are uncertain, or the model becomes overconfident",
    avoid_when="probabilities of rare classes matter: every class gets the same share, however rare it is",
)
