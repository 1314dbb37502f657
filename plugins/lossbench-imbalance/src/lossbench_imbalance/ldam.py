"""LDAM: a margin on the cosines that grows as the class gets rarer, with deferred re-weighting.

For cosines z_i in [-1, 1]^C of a model with a cosine head, targets y_i and n_c training images of class c,

    L   = 1/B sum_i w_{y_i} (-log softmax(s (z_i - m_{y_i} onehot(y_i)))[y_i])          [nats]
    m_c = max_margin (n_min / n_c)^(1/4)

with the scale s. w_c is 1 at first; after the fraction `defer` of the epochs it is the effective-number weight of
`beta` (see `class_balanced`), which is the paper's deferred re-weighting. `defer=1` never re-weights. Without margins
and weights the loss is softmax cross-entropy of the scaled cosines, which are also the scores.

Margin, scale and their defaults are those of the authors' code (github.com/kaidic/LDAM-DRW, losses.py); beta and
`defer` are from its training script for CIFAR (cifar_train.py: weights with beta = 0.9999 from epoch 160 of 200). Three
things are ours: `defer` is a fraction of the epochs; weights have a mean of 1 over the training images, not over the
classes; and rows are averaged, whereas torch's weighted cross-entropy divides by the weights of the batch. Some code
uses LDAM on plain logits, on which s = 30 and a margin of 1/2 mean little.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossContext, LossSpec, Need, PerClass, Trait
from lossbench.authoring import (
    MEAN_OF_ROWS,
    SMOOTH,
    CosineLoss,
    drawn_counts,
    effective_number_weights,
    number,
    weighted_softmax,
)

from .loops import ldam as loop


def ldam(cosines: Tensor, targets: Tensor, margin: Tensor, weight: Tensor, scale: float) -> Tensor:
    """Return the cross-entropy of the scaled cosines of each sample, the true one reduced by its class's margin.

    Args:
        cosines: (B, C).
        targets: (B,) class numbers in [0, C).
        margin: (C,) at least 0.
        weight: (C,) non-negative.
        scale: positive.

    Returns:
        (B,) losses in nats.

    Example:
        >>> margin = torch.tensor([0.0, 0.5])
        >>> ldam(torch.tensor([[0.0, 0.5]]), torch.tensor([1]), margin, torch.ones(2), scale=30)
        tensor([0.6931])
    """
    lowered = cosines.scatter_add(1, targets.unsqueeze(1), -margin.index_select(0, targets).unsqueeze(1))
    return weighted_softmax(scale * lowered, targets, weight)


class LDAMLoss(CosineLoss):
    """Mean of `ldam` over the batch; `begin_epoch` switches the weights on.

    Args:
        context: supplies the class counts.
        max_margin: margin of the rarest class, in units of the cosine, at least 0.
        scale: factor of the cosines, above 0.
        beta: of the effective-number weights, in [0, 1).
        defer: fraction of the epochs without weights, in [0, 1]; 0 applies weights from the start.
    """

    traits = MEAN_OF_ROWS | SMOOTH | {Trait.SHIFT_INVARIANT, Trait.MONOTONE, Trait.CONVEX}

    weighs: Tensor

    def __init__(
        self,
        context: LossContext,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        beta: float = 0.9999,
        defer: float = 0.8,
    ) -> None:
        super().__init__(context, scale)
        self.defer = number("defer", defer, minimum=0, maximum=1)
        counts = drawn_counts(context, "margins by class")
        self.margin = PerClass(number("max_margin", max_margin, minimum=0) * (counts.min() / counts) ** 0.25)
        self.weight = PerClass(effective_number_weights(counts, number("beta", beta, minimum=0, below=1)))
        self.register_buffer("weighs", torch.tensor(self.defer == 0))

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.weighs.fill_(epoch >= self.defer * total)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        weight = self.weight(logits.dtype)
        weight = torch.where(self.weighs, weight, torch.ones_like(weight))
        return ldam(logits, targets, self.margin(logits.dtype), weight, self.scale)

    def reset_parameters(self) -> None:
        self.weighs.fill_(self.defer == 0)


SPEC = LossSpec(
    name="ldam",
    factory=LDAMLoss,
    summary="Softmax cross-entropy of cosines with margins by class, re-weighted late in training.",
    reference="Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019, "
    "arXiv 1906.07413",
    needs=frozenset({Need.COSINE_LOGITS, Need.CLASS_COUNTS}),
    state_axes={"weighs": ()},
    variants=({"defer": 0.0, "beta": 0.99}, {"max_margin": 0.0, "scale": 10.0}),
    loop=loop,
    use_when="classes differ in size and a run is long enough for a second phase with weights",
    avoid_when="plain logits are needed, or there are few epochs: margins and weights then have little effect",
)
