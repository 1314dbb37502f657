"""Island: center loss with centers that also turn away from each other.

For embeddings x_i in R^D, targets y_i and centers c, with sums over the k classes that have started,

    L = 1/B sum_i 1/2 |x_i - c_{y_i}|^2 + repulsion sum_j sum_{l != j} (cos(c_j, c_l) + 1)

    c_j <- c_j - alpha [ n_j/(1 + n_j) (c_j - mean_j) + repulsion/(k - 1) sum_{l != j} d cos(c_j, c_l) / d c_j ]

for the classes j in the step, where n_j is the number of their samples and mean_j the mean; everything on the right is
from before the step. The first part is in squared embedding units, the second in units of `repulsion`. The second part
reads only centers: it has no gradient in the embeddings and acts through the movement of the centers. A center starts
at the class mean of the first batch that contains its class. repulsion = 0 is `center`.

The paper was not available. The value is the one in independent re-implementations, some of which take half of the
double sum, or its mean. The rule by which centers move, which is the whole effect of the second part, is ours, because
the rules of the re-implementations contradict each other: it is the rule of center loss plus the negative gradient of
the second part over 2 (k - 1), for the classes in the step. The default of `repulsion` is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import Homogeneity, LossContext, LossSpec, Need, Trait
from lossbench.authoring import (
    MEAN_OF_ROWS,
    RIGID_MOTIONS,
    SMOOTH,
    ClassStatistics,
    MovingCenters,
    center,
    number,
    started,
    unit_vectors,
)

from .loops import island as loop


def pairs_of_centers(centers: Tensor) -> Tensor:
    """() sum over ordered pairs of different started centers of their cosine plus 1, in O(C D).

    Args:
        centers: (C, D); a row of NaN marks a class that has not started. A center at the origin has the cosine 0.

    Example:
        >>> pairs_of_centers(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]))
        tensor(4.)
    """
    has_center = started(centers)
    units = unit_vectors(torch.where(has_center.unsqueeze(1), centers, 0.0))
    number_started = has_center.sum().to(centers.dtype)
    cosines = units.sum(dim=0).square().sum() - units.square().sum()
    return cosines + number_started * (number_started - 1)


class IslandLoss(MovingCenters):
    """Mean of `center` over the batch plus `repulsion` times `pairs_of_centers`.

    Args:
        context: supplies the number of classes and the embedding size.
        repulsion: of the centers, in squared embedding units, at least 0.
        alpha: how far centers move each step, in (0, 1].
    """

    traits = MEAN_OF_ROWS | SMOOTH | {Trait.ROTATION_INVARIANT}
    homogeneity = Homogeneity(2, {"repulsion": 2})

    def __init__(self, context: LossContext, *, repulsion: float = 1.0, alpha: float = 0.5) -> None:
        super().__init__(context, alpha)
        self.repulsion = number("repulsion", repulsion, minimum=0)
        if self.repulsion == 0:
            plain = {Trait.ZERO_AT_SEPARATION, Trait.ABSENT_CLASS_STATE_FIXED}
            self.traits = IslandLoss.traits | RIGID_MOTIONS | plain

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        centers = self.centers_like(embeddings)
        return center(embeddings, targets, centers) + self.repulsion * pairs_of_centers(centers)

    def moved(self, centers: Tensor, statistics: ClassStatistics) -> Tensor:
        pull = (statistics.counts / (1 + statistics.counts)).unsqueeze(1) * (centers - statistics.mean)
        return centers - self.alpha * (pull + self.repulsion * _mean_slope(centers))


def _mean_slope(centers: Tensor) -> Tensor:
    """Return (C, D): the mean over the other started centers of the gradient of the cosine in each center."""
    has_center = started(centers).unsqueeze(1)
    held = torch.where(has_center, centers, 0.0)
    units, length = unit_vectors(held), held.norm(dim=1, keepdim=True)
    others = units.sum(dim=0) - units
    across = others - (others * units).sum(dim=1, keepdim=True) * units
    number_of_others = (has_center.sum() - 1).clamp(min=1)
    # A center at the origin has no direction to turn from.
    return torch.where(length > 0, across / torch.where(length > 0, length, 1.0), 0.0) / number_of_others


SPEC = LossSpec(
    name="island",
    factory=IslandLoss,
    summary="Center loss with centers that turn away from each other.",
    reference="after Cai et al., Island Loss for Learning Discriminative Features in Facial Expression Recognition, "
    "FG 2018, arXiv 1710.03144; the paper was not at hand",
    needs=frozenset({Need.EMBEDDINGS}),
    auxiliary=True,
    joint="softmax + 0.001*island",
    state_axes={"centers": ("class", "embedding")},
    variants=({"repulsion": 0.1, "alpha": 0.1},),
    limits=(({"repulsion": 0.0}, "center"),),
    loop=loop,
    use_when="center loss is wanted, with centers that do not all lie on one side of the origin",
    avoid_when="classes need not differ in direction, or there are more classes than dimensions",
)
