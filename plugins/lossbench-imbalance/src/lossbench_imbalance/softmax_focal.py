"""Softmax focal loss: cross-entropy that discounts rows whose true class is already probable.

For logits z_i in R^C, targets y_i and p = softmax(z_i)[y_i],

    L = 1/B sum_i (1 - p)^gamma (-log p)          [nats]

gamma = 0 is plain softmax. Computed from d = z_y - logsumexp of the other logits: log p = -log(1 + e^-d) and
log(1 - p) = -log(1 + e^d), which are exact at both ends and have a gradient for every gamma.

"Focal" has four definitions in public code:

- this one: of the softmax, times a class weight if one is asked for. LDAM-DRW's FocalLoss without weights equals it,
  except that its gradient is NaN for gamma < 1 on saturated rows;
- the paper's, for detection: of C sigmoids, each class one-vs-rest, -alpha_t (1 - p_t)^gamma log p_t, summed over the
  classes (`torchvision.ops.sigmoid_focal_loss`, with alpha = 0.25);
- a weighted cross-entropy e = w_y (-log p), then (1 - exp(-e))^gamma e, as in LDAM-DRW with weights: the weight changes
  what is taken for the probability;
- this value with p detached in the factor, as in clcarwin's focal_loss_pytorch: the value is the same, the gradient is
  not, because the factor (1 - p)^gamma is then a constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossContext, LossSpec, Need, Trait
from lossbench.authoring import OF_LOG_SOFTMAX, WeightedLogitLoss, number

from .loops import softmax_focal as loop


def softmax_focal(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Return the focal loss of the softmax of each sample.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) class numbers in [0, C).
        gamma: at least 0; 0 gives cross-entropy.

    Returns:
        (B,) losses in nats.

    Example:
        >>> softmax_focal(torch.zeros(1, 2), torch.tensor([1]), gamma=2.0)
        tensor([0.1733])
    """
    index = targets.unsqueeze(1)
    true = logits.gather(1, index).squeeze(1)
    lead = true - logits.scatter(1, index, -torch.inf).logsumexp(dim=1)
    log_p, log_rest = F.logsigmoid(lead), F.logsigmoid(-lead)
    return -(gamma * log_rest).exp() * log_p


class SoftmaxFocalLoss(WeightedLogitLoss):
    """Mean of `softmax_focal` over the batch.

    Args:
        context: supplies the number of classes.
        gamma: how strongly rows with a probable true class are discounted, at least 0.
        power: class weights n_c^-power with a mean of 1 over the training images; 0 for none.
        weights: C class weights instead, used as they are: [1, 2, 5].
        beta: class weights by effective number instead, in [0, 1).
        defer: fraction of the epochs without class weights, in [0, 1].
    """

    traits = OF_LOG_SOFTMAX | {Trait.MONOTONE, Trait.ZERO_AT_SEPARATION}

    def __init__(
        self,
        context: LossContext,
        *,
        gamma: float = 2.0,
        power: float = 0.0,
        weights: Sequence[float] | None = None,
        beta: float | None = None,
        defer: float = 0.0,
    ) -> None:
        super().__init__(context, power=power, weights=weights, beta=beta, defer=defer)
        self.gamma = number("gamma", gamma, minimum=0)
        if self.gamma == 0:
            self.traits = SoftmaxFocalLoss.traits | {Trait.CONVEX, Trait.WEIGHTED_LIKELIHOOD}

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        weight, values = self.weight(logits.dtype), softmax_focal(logits, targets, self.gamma)
        return values if weight is None else weight.index_select(0, targets) * values


SPEC = LossSpec(
    name="softmax-focal",
    factory=SoftmaxFocalLoss,
    summary="Softmax cross-entropy that discounts rows which are already correct.",
    reference="after Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002, whose own form is "
    "one-vs-rest",
    needs=frozenset({Need.LOGITS}),
    state_axes={"class_weights.weighs": ()},
    variants=({"gamma": 0.5}, {"gamma": 1.0}, {"beta": 0.9, "defer": 0.5}),
    limits=(({"gamma": 0.0}, "softmax"),),
    loop=loop,
    use_when="most rows are easy and the labels of the few hard ones are correct",
    avoid_when="labels are noisy, or classes only differ in size: it does not use class counts",
)
