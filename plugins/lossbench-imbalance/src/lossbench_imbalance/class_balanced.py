"""Class-balanced softmax: cross-entropy weighted by the effective number of samples.

For logits z_i in R^C, targets y_i, n_c training images of class c, and N their sum,

    L   = 1/B sum_i w_{y_i} (logsumexp(z_i) - z_{i, y_i})          [nats]
    w_c = s (1 - beta) / (1 - beta^n_c)

`scale="dataset"` chooses s such that sum_c n_c w_c / N = 1, as other class weights of lossbench do: the objective keeps
its size relative to weight decay and to other terms. `scale="classes"` chooses sum_c w_c = C, as the authors' code
does; if the frequent classes are large, the loss is then small. beta = 0 is plain softmax; as beta approaches 1, all
classes get the same total weight.

The weight is the paper's, and the mean divides by the number of rows, as the authors' TensorFlow code does by default
(read, not run). PyTorch versions differ: those that pass the weights to `torch.nn.CrossEntropyLoss` (LDAM-DRW,
BagofTricks) divide by the weights of the batch, and vandit15's softmax form is binary cross-entropy on softmax
probabilities. The paper also applies the weights to sigmoid and focal losses, which are other losses.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need
from lossbench.authoring import (
    LIKELIHOOD,
    ClassWeights,
    choice,
    drawn_counts,
    effective_number_weights,
    number,
    weighted_softmax,
)

from .loops import class_balanced as loop


class ClassBalancedLoss(LogitLoss):
    """Mean of `weighted_softmax` with effective-number weights.

    Args:
        context: supplies the class counts.
        beta: in [0, 1); larger values count more images of a class as new.
        scale: "dataset" gives the weights a mean of 1 over the training images, "classes" over the classes.
        defer: fraction of the epochs without weights, in [0, 1] (deferred re-weighting).
    """

    traits = LIKELIHOOD

    def __init__(
        self, context: LossContext, *, beta: float = 0.999, scale: str = "dataset", defer: float = 0.0
    ) -> None:
        super().__init__(context)
        self.beta = number("beta", beta, minimum=0, below=1)
        self.scale = choice("scale", scale, ("dataset", "classes"))
        weight = effective_number_weights(drawn_counts(context, "class weights"), self.beta)
        given = weight if self.scale == "dataset" else weight / weight.mean()
        self.weight = ClassWeights(context, 0.0, weights=given.tolist(), defer=defer)
        if self.weight.defer == 0:
            self.reminded_of("begin_epoch")

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.weight.begin_epoch(epoch, total)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return weighted_softmax(logits, targets, self.weight(logits.dtype))

    def per_class(self, logits: Tensor) -> Tensor:
        weight: Tensor = self.weight(logits.dtype)
        return -weight * logits.log_softmax(dim=1)


SPEC = LossSpec(
    name="class-balanced",
    factory=ClassBalancedLoss,
    summary="Softmax cross-entropy weighted by the effective number of samples of each class.",
    reference="Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, arXiv 1901.05555",
    needs=frozenset({Need.LOGITS, Need.CLASS_COUNTS}),
    state_axes={"weight.weighs": ()},
    variants=({"beta": 0.9}, {"scale": "classes"}),
    limits=(({"beta": 0.0}, "softmax"), ({"beta": 0.0, "scale": "classes"}, "softmax")),
    loop=loop,
    use_when="rare classes are so small that inverse frequencies would overweight them",
    avoid_when="all classes have far more than 1/(1 - beta) images: all weights are then nearly the same",
)
