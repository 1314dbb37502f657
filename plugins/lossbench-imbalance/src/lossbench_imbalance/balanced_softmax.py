"""Balanced softmax: softmax whose normalizer weights each class by its number of training images.

For logits z_i in R^C, targets y_i and n_c training images of class c,

    L = 1/B sum_i (log sum_c n_c exp(z_{i, c}) - log n_{y_i} - z_{i, y_i})          [nats]

In training the log-frequencies of the classes are added to the logits; in testing they are not, so the model's own
logits describe classes that are equally frequent. Adding log n_c equals adding log pi_c, the log-prior, because a
number added to all logits changes nothing: `logit-adjusted(tau=1)` is this loss. A balanced sampler together with this
loss would correct twice; lossbench passes the counts that the sampler draws, so that the loss is then plain softmax.

The formula is the balanced softmax of the paper, without its meta-learned sampler.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need, PerClass
from lossbench.authoring import CROSS_ENTROPY, drawn_counts, softmax

from .loops import balanced_softmax as loop


def balanced_softmax(logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Return the balanced softmax of each sample.

    Args:
        logits: (B, C).
        targets: (B,) class numbers in [0, C).
        counts: (C,) positive training images of each class, or anything proportional to them.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> balanced_softmax(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([3.0, 1.0]))
        tensor([0.2877, 1.3863])
    """
    return softmax(logits + counts.log(), targets)


class BalancedSoftmaxLoss(LogitLoss):
    """Mean of `balanced_softmax` over the batch.

    Args:
        context: supplies the class counts.
    """

    traits = CROSS_ENTROPY

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "log-priors")
        self.share = PerClass(counts / counts.sum())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return balanced_softmax(logits, targets, self.share(logits.dtype))

    def per_class(self, logits: Tensor) -> Tensor:
        costs: Tensor = -(logits + self.share(logits.dtype).log()).log_softmax(dim=1)
        return costs


SPEC = LossSpec(
    name="balanced-softmax",
    factory=BalancedSoftmaxLoss,
    summary="Softmax cross-entropy of the logits plus the log of the class counts.",
    reference="Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020, arXiv 2007.10740",
    needs=frozenset({Need.LOGITS, Need.CLASS_COUNTS}),
    loop=loop,
    use_when="classes differ in size but count equally in testing; there is no hyper-parameter to choose",
    avoid_when="the test set has the class frequencies of the training set, or the sampler is already balanced",
)
