"""Label smoothing: cross-entropy against a label that gives a share to every class.

For logits z_i in R^C, targets y_i and smoothing e,

    L = 1/B sum_i [ (1 - e) (-log softmax(z_i)[y_i]) + e/C sum_c (-log softmax(z_i)[c]) ]          [nats]

e = 0 is plain softmax. The minimum is not 0 but the entropy of the smoothed label, and a row with a probability above
1 - e + e/C costs more again: the loss is not monotone in the true logit.

The share e/C also goes to the true class, as in the paper and in torch. Other code distributes e over the C - 1 other
classes only, which is this loss with the smoothing e C/(C - 1).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need, Trait
from lossbench.authoring import NEVER_A_LABEL, OF_LOG_SOFTMAX, number

from .loops import label_smoothing as loop


def label_smoothing(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy of each sample against its smoothed label.

    Args:
        logits: (B, C).
        targets: (B,) class numbers in [0, C).
        smoothing: share that is distributed over all classes.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> label_smoothing(torch.tensor([[0.0, 100.0]]), torch.tensor([1]), smoothing=0.1)
        tensor([5.])
    """
    return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing, ignore_index=NEVER_A_LABEL)


class LabelSmoothingLoss(LogitLoss):
    """Mean of `label_smoothing` over the batch.

    Args:
        context: supplies the number of classes.
        smoothing: in [0, 1).
    """

    traits = OF_LOG_SOFTMAX | {Trait.CONVEX}

    def __init__(self, context: LossContext, *, smoothing: float = 0.1) -> None:
        super().__init__(context)
        self.smoothing = number("smoothing", smoothing, minimum=0, below=1)
        if self.smoothing == 0:
            plain = {Trait.MONOTONE, Trait.ZERO_AT_SEPARATION, Trait.WEIGHTED_LIKELIHOOD}
            self.traits = LabelSmoothingLoss.traits | plain

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return label_smoothing(logits, targets, self.smoothing)

    def per_class(self, logits: Tensor) -> Tensor:
        cross_entropy = -logits.log_softmax(dim=1)
        return (1 - self.smoothing) * cross_entropy + self.smoothing * cross_entropy.mean(dim=1, keepdim=True)


SPEC = LossSpec(
    name="label-smoothing",
    factory=LabelSmoothingLoss,
    summary="Softmax cross-entropy against labels that give a share to every class.",
    reference="Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv 1512.00567, "
    "section 7",
    needs=frozenset({Need.LOGITS}),
    variants=({"smoothing": 0.3},),
    limits=(({"smoothing": 0.0}, "softmax"),),
    loop=loop,
    use_when="labels are uncertain, or the model becomes overconfident",
    avoid_when="probabilities of rare classes matter: every class gets the same share, however rare it is",
)
