"""ArcFace: the true class must win by a margin on the angle.

For cosines z_i in [-1, 1]^C between an embedding and one unit vector per class, targets y_i, and the angle
t_i = arccos(z_{i, y_i}),

    L = 1/B sum_i -log [ exp(scale f(t_i)) / (exp(scale f(t_i)) + sum_{j != y_i} exp(scale z_{ij})) ]      [nats]

    f(t) = cos(t + margin)        up to t + margin = pi, and -2 - cos(t + margin) beyond

The margin is in radians and used in training only; the scale also applies to the scores. margin = 0 is `norm-face`.

The paper's f is cos(t + margin) throughout, which rises again beyond t + margin = pi, so that a very wrong angle would
cost less. Ours keeps falling, with a continuous slope. Widespread code switches to z - margin sin(margin) there, with a
jump at the seam; some code omits the margin where t > pi/2 ("easy margin").

The value equals insightface's, the authors' public code, up to t + margin = pi; the gradient does not. insightface
applies arccos, margin and cos without gradient, so that the gradient passes as if f(t) were z (a straight-through
gradient); ours is the derivative of f, which is theirs times sin(t + margin) / sin(t): with a margin of 0.5, 2.4 times
theirs at an angle of 0.3, 0.91 times at 1.5 and 0.24 times at 2.5. `form="insightface"` is their code in value and
gradient: f(t) = cos(t + margin) throughout, and constant in backward but for z (trait `stop-gradient`).

cos(t + margin) is computed as z cos(margin) - sqrt(1 - z^2) sin(margin), whose slope is unbounded near z = 1 and -1; at
these two points the root is left out. Half precision rounds cosines beyond 1, so z is clipped to [-1, 1]; logits
outside get no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossbench import LossContext, LossSpec, Need, Trait
from lossbench.authoring import MEAN_OF_ROWS, SMOOTH, CosineLoss, choice, number, softmax

from .loops import arc_face as loop


def arc_face(cosines: Tensor, targets: Tensor, scale: float, margin: float, form: str = "smooth") -> Tensor:
    """Return the cross-entropy of the scaled cosines of each sample, with a margin on the true angle.

    Args:
        cosines: (B, C).
        targets: (B,) class numbers in [0, C).
        scale: positive.
        margin: in radians, from 0 to pi.
        form: "smooth" or "insightface".

    Returns:
        (B,) losses in nats.

    Example:
        >>> arc_face(torch.tensor([[0.0, 1.0]]), torch.tensor([1]), scale=16.0, margin=math.pi / 2)
        tensor([0.6931])
    """
    cosines = cosines.clamp(-1, 1)
    index = targets.unsqueeze(1)
    true = cosines.gather(1, index)
    turned = lowered(true, margin) if form == "smooth" else true + (_turned(true, margin) - true).detach()
    return softmax(scale * cosines.scatter(1, index, turned), targets)


def lowered(cosine: Tensor, margin: float) -> Tensor:
    """Return cos(t + margin) for the angle t with this cosine, continued downward beyond t + margin = pi.

    Args:
        cosine: in [-1, 1], of any shape.
        margin: in radians, from 0 to pi.

    Example:
        >>> lowered(torch.tensor([1.0, 0.5, -1.0]), math.pi / 3)
        tensor([ 0.5000, -0.5000, -1.5000])
    """
    turned = _turned(cosine, margin)
    beyond = cosine < -math.cos(margin)
    return torch.where(beyond, -2 - turned, turned)


def _turned(cosine: Tensor, margin: float) -> Tensor:
    """Return cos(t + margin) for the angle t with this cosine."""
    square = (1 - cosine) * (1 + cosine)
    sine = torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0 * cosine)
    return cosine * math.cos(margin) - sine * math.sin(margin)


class ArcFaceLoss(CosineLoss):
    """Mean of `arc_face` over the batch.

    Args:
        context: supplies the number of classes.
        scale: factor of the cosines, above 0.
        margin: in radians, from 0 to pi/2.
        form: "smooth", or "insightface" for the value and the gradient of the authors' public code.
    """

    traits = MEAN_OF_ROWS | SMOOTH | {Trait.MONOTONE}

    def __init__(self, context: LossContext, *, scale: float = 16.0, margin: float = 0.5, form: str = "smooth") -> None:
        super().__init__(context, scale)
        self.margin = number("margin", margin, minimum=0, maximum=math.pi / 2)
        self.form = choice("form", form, ("smooth", "insightface"))
        if self.form == "insightface":
            self.traits = (ArcFaceLoss.traits - {Trait.MONOTONE, Trait.TWICE_DIFFERENTIABLE}) | {Trait.STOP_GRADIENT}

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return arc_face(logits, targets, self.scale, self.margin, self.form)


SPEC = LossSpec(
    name="arc-face",
    factory=ArcFaceLoss,
    summary="Softmax cross-entropy of scaled cosines with a margin on the angle of the true class.",
    reference="Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019, "
    "arXiv 1801.07698, equation 3",
    needs=frozenset({Need.COSINE_LOGITS}),
    traits=MEAN_OF_ROWS | (SMOOTH - {Trait.TWICE_DIFFERENTIABLE}),
    variants=({"scale": 4.0, "margin": 1.5}, {"form": "insightface", "scale": 4.0}),
    limits=(({"margin": 0.0}, "norm-face"),),
    loop=loop,
    use_when="embeddings are compared by angle, as in verification",
    avoid_when="labels are noisy: a wrong label must also win by the margin",
)
