"""NormFace: softmax of scaled cosines, so that only directions count.

For cosines z_i in [-1, 1]^C between an embedding and one unit vector a class, and targets y_i,

    L = 1/B sum_i (logsumexp(scale z_i) - scale z_{i, y_i})          [nats]

The scale is needed, as softmax of numbers in [-1, 1] is never sure. It is a constant here, and part of the scores.
Known as normalised softmax too. The paper's other form, metric learning with one agent a class, is another loss.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LossContext, LossSpec, Need, Trait
from lossbench.authoring import MEAN_OF_ROWS, SMOOTH, softmax

from .cosine_loss import CosineLoss
from .loops import norm_face as loop


def norm_face(cosines: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Per-sample cross-entropy of scaled cosines.

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
        scale: of the cosines, above 0.
    """

    traits = MEAN_OF_ROWS | SMOOTH | {Trait.SHIFT_INVARIANT, Trait.MONOTONE, Trait.CONVEX}

    def __init__(self, context: LossContext, *, scale: float = 16.0) -> None:
        super().__init__(context, scale)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return norm_face(logits, targets, self.scale)


SPEC = LossSpec(
    name="norm-face",
    factory=NormFaceLoss,
    summary="Softmax cross-entropy of scaled cosines.",
    reference="Wang et al., NormFace: L2 Hypersphere Embedding for Face Verification, ACM MM 2017, arXiv 1704.06369",
    needs=frozenset({Need.COSINE_LOGITS}),
    variants=({"scale": 4.0},),
    limits=(({"scale": 1.0}, "softmax"),),
    loop=loop,
    use_when="only directions should count, without a margin; the base of cos-face and arc-face",
    avoid_when="the length of an embedding says how sure the model should be",
)
