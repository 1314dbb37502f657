"""NormFace: softmax of scaled cosines, so that only directions matter.

For cosines z_i in [-1, 1]^C between an embedding and one unit vector per class, and targets y_i,

    L = 1/B sum_i (logsumexp(scale z_i) - scale z_{i, y_i})          [nats]

The scale is needed because the softmax of numbers in [-1, 1] cannot approach 1. Here it is a constant and also applies
to the scores. Also known as normalized softmax. The paper's other form, metric learning with one agent per class, is
another loss.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LossContext, LossSpec, Need, Trait
from lossbench.authoring import MEAN_OF_ROWS, SMOOTH, CosineLoss, softmax

from .loops import norm_face as loop


def norm_face(cosines: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Return the cross-entropy of the scaled cosines of each sample.

    Args:
        cosines: (B, C).
        targets: (B,) class numbers in [0, C).
        scale: positive.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> norm_face(torch.tensor([[1.0, 0.5]]), torch.tensor([1]), scale=4.0)
        tensor([2.1269])
    """
    return softmax(scale * cosines, targets)


class NormFaceLoss(CosineLoss):
    """Mean of `norm_face` over the batch.

    Args:
        context: supplies the number of classes.
        scale: factor of the cosines, above 0.
    """

    traits = MEAN_OF_ROWS | SMOOTH | {Trait.SHIFT_INVARIANT, Trait.MONOTONE, Trait.CONVEX}

    def __init__(self, context: LossContext, *, scale: float = 16.0) -> None:
        super().__init__(context, scale)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return norm_face(logits, targets, self.scale)

    def per_class(self, logits: Tensor) -> Tensor:
        return -(self.scale * logits).log_softmax(dim=1)


SPEC = LossSpec(
    name="norm-face",
    factory=NormFaceLoss,
    summary="Softmax cross-entropy of scaled cosines.",
    reference="Wang et al., NormFace: L2 Hypersphere Embedding for Face Verification, ACM MM 2017, arXiv 1704.06369",
    needs=frozenset({Need.COSINE_LOGITS}),
    variants=({"scale": 4.0},),
    limits=(({"scale": 1.0}, "softmax"),),
    loop=loop,
    use_when="only directions should matter, without a margin; cos-face and arc-face build on it",
    avoid_when="the length of an embedding expresses the model's confidence",
)
