"""Contrastive-center: squared distance to the own center over the squared distances to the other centers.

For embeddings x_i in R^D, targets y_i and centers c,

    L = 1/B sum_i 1/2 |x_i - c_{y_i}|^2 / (sum_{j != y_i} |x_i - c_j|^2 + delta)          [without unit]

    c_j <- c_j - alpha sum_{i: y_i = j} (c_j - x_i) / (1 + n_j)        n_j samples of class j in the step

delta, in squared embedding units, keeps the quotient finite. With the denominators held fixed, it is center loss with
each row divided by its own denominator.

The quotient is the paper's (as restated by others; the paper was not available), which sums over the batch: a
coefficient there is B times larger here. The paper's centers are learned by gradient descent; ours move like those of
lossbench's `center`: they start at the class mean of the first batch that contains the class and then follow it. The
loss is zero until two classes have started.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import Homogeneity, LossContext, LossSpec, Need, Trait
from lossbench.authoring import (
    MEAN_OF_ROWS,
    RIGID_MOTIONS,
    SMOOTH,
    MovingCenters,
    number,
    squared_distance_to_own_center,
    started,
)

from .loops import contrastive_center as loop
from .other_centers import distance_to_other_centers


def contrastive_center(embeddings: Tensor, targets: Tensor, centers: Tensor, denominator: Tensor) -> Tensor:
    """Return half the squared distance of each sample to its own center over the sample's denominator.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started, whose samples give zero.
        denominator: (B,) positive; see `distance_to_other_centers`.

    Returns:
        (B,) dimensionless losses.

    Example:
        >>> import torch
        >>> x, y, centers = torch.tensor([[1.0]]), torch.tensor([0]), torch.tensor([[0.0], [3.0]])
        >>> contrastive_center(x, y, centers, distance_to_other_centers(x, y, centers) + 1)
        tensor([0.1000])
    """
    return squared_distance_to_own_center(embeddings, targets, centers) / 2 / denominator


class ContrastiveCenterLoss(MovingCenters):
    """Mean of `contrastive_center` over the batch, with centers that follow their classes.

    Args:
        context: supplies the number of classes and the embedding size.
        delta: added to each denominator, in squared embedding units; above 0.
        alpha: how far centers move towards their samples each step, in (0, 1].
    """

    traits = MEAN_OF_ROWS | SMOOTH | RIGID_MOTIONS | {Trait.ZERO_AT_SEPARATION}
    homogeneity = Homogeneity(0, {"delta": 2})

    def __init__(self, context: LossContext, *, delta: float = 1.0, alpha: float = 0.5) -> None:
        super().__init__(context, alpha)
        self.delta = number("delta", delta, above=0)

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        centers = self.centers_like(embeddings)
        denominator = distance_to_other_centers(embeddings, targets, centers) + self.delta
        terms = contrastive_center(embeddings, targets, centers, denominator)
        return terms * (started(centers).sum() > 1)


SPEC = LossSpec(
    name="contrastive-center",
    factory=ContrastiveCenterLoss,
    summary="Squared distance to the own center over the squared distances to the other centers.",
    reference="Qi and Su, Contrastive-center loss for deep neural networks, ICIP 2017, arXiv 1707.07391",
    needs=frozenset({Need.EMBEDDINGS}),
    auxiliary=True,
    joint="softmax + 1*contrastive-center",
    state_axes={"centers": ("class", "embedding")},
    variants=({"delta": 0.01, "alpha": 0.1},),
    loop=loop,
    use_when="classes should be compact and separated, whatever the scale of the embeddings",
    avoid_when="there are many classes: the nearest other center is negligible in the sum over all",
)
