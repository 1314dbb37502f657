"""Vector scaling: in training, the logit of each class has its own factor and offset.

For logits z_i in R^C, targets y_i, n_c training images of class c and pi_c = n_c / N,

    L = 1/B sum_i w_{y_i} (log sum_c exp(D_c z_{i, c} + o_c) - D_{y_i} z_{i, y_i} - o_{y_i})          [nats]

    D_c = (n_c / n_max)^gamma          o_c = tau log pi_c          w_c = s n_c^-power (see lossbench's class weights)

gamma = tau = power = 0 is plain softmax, gamma = power = 0 is `logit-adjusted`, and tau = power = 0 is known as CDT.
The factor still has an effect after training has reached zero error, when offsets and weights have none: a rare class
needs a larger logit for the same loss. The model is tested on its own logits.

Factor and offset are those of the authors' code, with its defaults. Its weight may be any vector, and is none by
default.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need, PerClass, Trait
from lossbench.authoring import CROSS_ENTROPY, ClassWeights, drawn_counts, number, weighted_softmax

from .loops import vector_scaling as loop


def vector_scaling(logits: Tensor, targets: Tensor, factor: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Return the vector-scaling loss of each sample.

    Args:
        logits: (B, C).
        targets: (B,) class numbers in [0, C).
        factor: (C,) positive factors of the logits.
        offset: (C,) offsets added to the scaled logits.
        weight: (C,) non-negative weights of the losses.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> one = torch.ones(2)
        >>> vector_scaling(torch.tensor([[2.0, 4.0]]), torch.tensor([1]), one / 2, 0 * one, one)
        tensor([0.3133])
    """
    return weighted_softmax(factor * logits + offset, targets, weight)


class VectorScalingLoss(LogitLoss):
    """Mean of `vector_scaling` over the batch.

    Args:
        context: supplies the class counts.
        gamma: exponent of the factors, at least 0.
        tau: strength of the offsets, at least 0.
        power: exponent of the class weights, at least 0.
    """

    traits = CROSS_ENTROPY - {Trait.SHIFT_INVARIANT}

    def __init__(self, context: LossContext, *, gamma: float = 0.3, tau: float = 1.0, power: float = 0.0) -> None:
        super().__init__(context)
        self.gamma, self.tau = number("gamma", gamma, minimum=0), number("tau", tau, minimum=0)
        counts = drawn_counts(context, "factors by class")
        self.factor = PerClass((counts / counts.max()) ** self.gamma)
        self.offset = PerClass(self.tau * (counts / counts.sum()).log())
        self.class_weights = ClassWeights(context, power)
        if self.gamma == 0:
            neutral = {Trait.WEIGHTED_LIKELIHOOD} if self.tau == 0 else set()
            self.traits = VectorScalingLoss.traits | {Trait.SHIFT_INVARIANT} | neutral

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        factor, offset, weight = (each(logits.dtype) for each in (self.factor, self.offset, self.class_weights))
        return vector_scaling(logits, targets, factor, offset, weight)

    def per_class(self, logits: Tensor) -> Tensor:
        factor, offset, weight = (each(logits.dtype) for each in (self.factor, self.offset, self.class_weights))
        costs: Tensor = -weight * (factor * logits + offset).log_softmax(dim=1)
        return costs


SPEC = LossSpec(
    name="vector-scaling",
    factory=VectorScalingLoss,
    summary="Softmax cross-entropy of logits with a factor and an offset by class.",
    reference="Kini et al., Label-Imbalanced and Group-Sensitive Classification under Overparameterization, "
    "NeurIPS 2021, arXiv 2103.01550",
    needs=frozenset({Need.LOGITS, Need.CLASS_COUNTS}),
    variants=({"tau": 0.0}, {"gamma": 0.0, "tau": 0.0, "power": 0.5}),
    limits=(
        ({"gamma": 0.0, "tau": 0.0}, "softmax"),
        ({"gamma": 0.0, "tau": 1.0}, "logit-adjusted"),
        ({"gamma": 0.0, "tau": 0.0, "power": 0.5}, "weighted-softmax(power=0.5)"),
    ),
    loop=loop,
    use_when="training reaches zero error, where weights and offsets lose their effect",
    avoid_when="training is short, or there is no time to tune: logit-adjusted has one hyper-parameter",
)
