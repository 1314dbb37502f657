"""Seesaw: other classes push a rare class less, and classes that win against it push more.

For logits z_i in R^C, p_i = softmax(z_i), targets y_i and n_c training images of class c,

    L    = -1/B sum_i log( exp(z_{i, y}) / (exp(z_{i, y}) + sum_{j != y} S_{ij} exp(z_{i, j})) )          [nats]

    S_ij = min(1, n_j / n_y)^p max(1, p_ij / p_iy)^q          mitigation times compensation, y = y_i

S is a constant in backward, as in the authors' code: the gradient is that of a softmax with weighted classes and not
the derivative of L (trait `stop-gradient`). The compensation is computed in log-space as q max(0, z_j - z_y), without
forming a probability. The authors' code clamps p_iy at 0.01 from below instead. Values are equal while p_iy is above
0.01; below, theirs is capped and ours is not (at p_iy = 4.5e-5: 18.2 and 29.0). The gradient differs there only through
the capped S.

Two further things differ from the code. n_c are the counts of the training set, whereas the code counts labels as they
pass, so that its loss changes during training; and the code's objectness branch, for detection, is left out. p = q = 0
is plain softmax.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need, PerClass, Trait
from lossbench.authoring import CROSS_ENTROPY, drawn_counts, number, softmax

from .loops import seesaw as loop


def seesaw(logits: Tensor, targets: Tensor, log_counts: Tensor, p: float, q: float) -> Tensor:
    """Return the seesaw loss of each sample.

    Args:
        logits: (B, C).
        targets: (B,) class numbers in [0, C).
        log_counts: (C,) log of the training images of each class.
        p: exponent of the mitigation, at least 0.
        q: exponent of the compensation, at least 0.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> log_counts = torch.tensor([4.0, 1.0]).log()
        >>> seesaw(torch.tensor([[0.0, 1.0]]), torch.tensor([0]), log_counts, p=0.5, q=2.0)
        tensor([2.4018])
    """
    mitigation = p * (log_counts - log_counts.index_select(0, targets).unsqueeze(1)).clamp(max=0)
    lead = logits.detach() - logits.detach().gather(1, targets.unsqueeze(1))
    return softmax(logits + mitigation + q * lead.clamp(min=0), targets)  # both are 0 for the true class


class SeesawLoss(LogitLoss):
    """Mean of `seesaw` over the batch.

    Args:
        context: supplies the class counts.
        p: exponent of the mitigation, at least 0.
        q: exponent of the compensation, at least 0.
    """

    traits = (CROSS_ENTROPY - {Trait.TWICE_DIFFERENTIABLE}) | {Trait.STOP_GRADIENT}

    def __init__(self, context: LossContext, *, p: float = 0.8, q: float = 2.0) -> None:
        super().__init__(context)
        self.p, self.q = number("p", p, minimum=0), number("q", q, minimum=0)
        counts = drawn_counts(context, "mitigation by class")
        self.log_counts = PerClass((counts / counts.max()).log())
        if self.q == 0:
            neutral = {Trait.WEIGHTED_LIKELIHOOD} if self.p == 0 else set()
            self.traits = (SeesawLoss.traits - {Trait.STOP_GRADIENT}) | {Trait.TWICE_DIFFERENTIABLE} | neutral

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return seesaw(logits, targets, self.log_counts(logits.dtype), self.p, self.q)


SPEC = LossSpec(
    name="seesaw",
    factory=SeesawLoss,
    summary="Softmax cross-entropy in which other classes push rare ones less, and winning ones more.",
    reference="Wang et al., Seesaw Loss for Long-Tailed Instance Segmentation, CVPR 2021, arXiv 2008.10032",
    needs=frozenset({Need.LOGITS, Need.CLASS_COUNTS}),
    traits=SeesawLoss.traits - {Trait.STOP_GRADIENT},
    variants=({"q": 0.0}, {"p": 0.0, "q": 0.5}),
    limits=(({"p": 0.0, "q": 0.0}, "softmax"),),
    loop=loop,
    use_when="there are many classes in a long tail, where frequent ones crowd out rare ones",
    avoid_when="second derivatives or the value itself are used: its gradient is not the derivative of its value",
)
