"""Weighted softmax: cross-entropy with one weight per class.

For logits z_i in R^C, targets y_i and class weights w (see `class_weights`),

    L = 1/B sum_i w_{y_i} (logsumexp(z_i) - z_{i, y_i})          [nats]

`average="dataset"` divides by B, as above: the value of a batch estimates the weighted mean over the training set, and
the mean over equal shards equals the value of the whole batch. `average="batch"` divides by sum_i w_{y_i} instead, as
`torch.nn.CrossEntropyLoss(weight=w)` does. That bounds the value when a small batch contains one rare sample, but it is
a different objective, which depends on how a batch is divided into shards.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..ops.cross_entropy import cross_entropy, sum_of_shares
from ..spec import LossSpec
from ..traits import LIKELIHOOD, MEAN_OF_ROWS, Need
from ..types import LossContext
from . import loops
from .class_weights import ClassWeights
from .hyperparameters import choice
from .logit_loss import LogitLoss


def weighted_softmax(logits: Tensor, targets: Tensor, weight: Tensor, *, reduction: str = "none") -> Tensor:
    """Return the weighted cross-entropy of each sample.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) class numbers in [0, C).
        weight: (C,) non-negative class weights.
        reduction: "none", or "mean" for the mean over the samples, which is 0 for an empty batch.

    Returns:
        (B,) losses in nats, or ().

    Example:
        >>> import torch
        >>> weighted_softmax(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([1.0, 3.0]))
        tensor([2.0794])
    """
    return cross_entropy(logits, targets, weight, reduction=reduction)


class WeightedSoftmaxLoss(LogitLoss):
    """Mean of `weighted_softmax` with inverse-frequency weights.

    Args:
        context: supplies the class counts.
        power: 0 gives plain softmax, 1 gives all classes the same total weight.
        average: "dataset" divides by the batch size, "batch" by the sum of the weights in the batch.
        weights: C numbers instead of weights from counts, used as they are: [1, 2, 5].
        defer: fraction of the epochs without weights, in [0, 1] (deferred re-weighting).
    """

    traits = LIKELIHOOD - MEAN_OF_ROWS  # which holds for average="dataset" only

    def __init__(
        self,
        context: LossContext,
        *,
        power: float = 1.0,
        average: str = "dataset",
        weights: Sequence[float] | None = None,
        defer: float = 0.0,
    ) -> None:
        super().__init__(context)
        self.average = choice("average", average, ("dataset", "batch"))
        self.class_weights = ClassWeights(context, power, weights=weights, defer=defer)
        if self.class_weights.defer == 0:
            self.reminded_of("begin_epoch")
        if self.average == "dataset":
            self.traits = LIKELIHOOD
        self.takes_soft_targets = self.average == "dataset"

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return weighted_softmax(logits, targets, self.class_weights(logits.dtype))

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.class_weights.begin_epoch(epoch, total)

    def per_class(self, logits: Tensor) -> Tensor:
        weight: Tensor = self.class_weights(logits.dtype)
        return -weight * logits.log_softmax(dim=1)

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not self._has_rows_of(WeightedSoftmaxLoss):
            return super().value(logits, targets)
        rows = targets.shape[0]
        share = self.class_weights.share(logits.dtype, rows)
        mean = sum_of_shares(logits, targets, share)
        if self.average == "dataset" or not rows:
            return mean
        weight: Tensor = self.class_weights(logits.dtype)
        return mean * (rows / weight.index_select(0, targets).sum())


SPEC = LossSpec(
    name="weighted-softmax",
    factory=WeightedSoftmaxLoss,
    summary="Softmax cross-entropy with inverse-frequency class weights.",
    reference="Mollahosseini et al., AffectNet, IEEE Transactions on Affective Computing 2017, weighted-loss",
    needs=frozenset({Need.LOGITS, Need.CLASS_COUNTS}),
    state_axes={"class_weights.weighs": ()},
    variants=({"power": 0.5}, {"average": "batch"}),
    limits=(({"power": 0.0}, "softmax"),),
    loop=loops.weighted_softmax,
    use_when="classes differ in size and balanced accuracy matters; try it first",
    avoid_when="the rarest class has so few images that one of them dominates a batch's gradient: power=0.5 is milder",
)
