"""CosFace: the cosine of the true class must win by a margin.

For cosines z_i in [-1, 1]^C between an embedding and one unit vector per class, and targets y_i,

    L = 1/B sum_i -log softmax(scale (z_i - margin onehot(y_i)))[y_i]          [nats]

The margin is in units of the cosine and used in training only; the scale also applies to the scores. margin = 0 is
`norm-face`. Also known as large-margin cosine loss and AM-softmax. The usual scale of 64 is meant for thousands of
identities: with few classes it makes the loss almost a hinge.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LossContext, LossSpec, Need, Trait
from lossbench.authoring import MEAN_OF_ROWS, SMOOTH, CosineLoss, number, softmax

from .loops import cos_face as loop


def cos_face(cosines: Tensor, targets: Tensor, scale: float, margin: float) -> Tensor:
    """Return the cross-entropy of the scaled cosines of each sample, the true one reduced by a margin.

    Args:
        cosines: (B, C).
        targets: (B,) class numbers in [0, C).
        scale: positive.
        margin: in units of the cosine.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> cos_face(torch.tensor([[0.25, 0.5]]), torch.tensor([1]), scale=16.0, margin=0.25)
        tensor([0.6931])
    """
    index = targets.unsqueeze(1)
    return softmax(scale * cosines.scatter(1, index, cosines.gather(1, index) - margin), targets)


class CosFaceLoss(CosineLoss):
    """Mean of `cos_face` over the batch.

    Args:
        context: supplies the number of classes.
        scale: factor of the cosines, above 0.
        margin: in units of the cosine, from 0 to 2.
    """

    traits = MEAN_OF_ROWS | SMOOTH | {Trait.SHIFT_INVARIANT, Trait.MONOTONE, Trait.CONVEX}

    def __init__(self, context: LossContext, *, scale: float = 16.0, margin: float = 0.35) -> None:
        super().__init__(context, scale)
        self.margin = number("margin", margin, minimum=0, maximum=2)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cos_face(logits, targets, self.scale, self.margin)


SPEC = LossSpec(
    name="cos-face",
    factory=CosFaceLoss,
    summary="Softmax cross-entropy of scaled cosines with a margin on the true one.",
    reference="Wang et al., CosFace: Large Margin Cosine Loss for Deep Face Recognition, CVPR 2018, arXiv 1801.09414",
    needs=frozenset({Need.COSINE_LOGITS}),
    variants=({"scale": 4.0, "margin": 0.1},),
    limits=(({"margin": 0.0}, "norm-face"),),
    loop=loop,
    use_when="embeddings are compared by angle; its margin is simpler than that of arc-face",
    avoid_when="labels are noisy; or with the usual scale of 64 and few classes, where it is almost a hinge",
)
