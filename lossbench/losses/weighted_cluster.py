"""Weighted-cluster loss: distance to the own center over the distances between centers, weighted by class.

For embeddings x_i in R^D, targets y_i, centers c and class weights w (see `class_weights`),

    L   = 1/B sum_i 1/2 w_{y_i} |x_i - c_{y_i}|^2 / (s S_{y_i} + delta)        S_y = sum_{j != y} |c_y - c_j|^2

with s = 1 (`separation="sum"`) or 1/(C-1) (`"mean"`). S_y = C |c_y - m|^2 + sum_j |c_j - m|^2 with m the mean center,
which costs O(C D) and avoids cancellation. Once per step each center moves along the gradient of its own class times
the denominator of that class; the class weight cancels, so rare classes move as reliably as frequent ones:

    c_y <- c_y - alpha n_y/(1+n_y) [(c_y - mean_y) - r_y sum_j (c_y - c_j)]    r_y = min(s A_y / (s S_y + delta), 0.9/C)

n_y, mean_y and A_y are the count, mean and mean squared distance to c_y of the samples of class y in the step;
everything on the right is from before the step. A center starts at the class mean of the first step that contains its
class. Until then its row is NaN, the class contributes nothing, and C counts only classes that have started.

Only the paper's abstract and introduction were available: one center per class, a smaller distance to the own center, a
larger one between centers, weights from class proportions, joint training with weighted softmax. Its equations were
not. The term equals one public re-implementation exactly. A second one has the same distances but multiplies by the sum
of all class weights, apparently by mistake; a third one uses distances between centers that are not squared, and no
factor 1/2. `tests/losses/test_weighted_cluster_elsewhere.py` compares all three. How centers move is our own design.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ..ops.center_means import all_started, mean_ratio_to_separation
from ..ops.center_moves import move_apart
from ..ops.centers import ClassStatistics, center_separation, mean_center, own_distance_and_separation, started
from ..ops.with_gradient import is_fast, with_gradient
from ..spec import LossSpec
from ..traits import MEAN_OF_ROWS, RIGID_MOTIONS, SMOOTH, Homogeneity, Need, Trait
from ..types import LossContext
from . import loops
from .class_weights import ClassWeights
from .embedding_loss import MovingCenters
from .hyperparameters import choice, number


def weighted_cluster(
    embeddings: Tensor, targets: Tensor, centers: Tensor, weight: Tensor, scale: Tensor | float, delta: float
) -> Tensor:
    """Return each sample's weighted distance to its own center over the distances of that center to the others.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started, whose samples give zero.
        weight: (C,) class weights.
        scale: the factor s of the sum of squared distances between centers.
        delta: added to that sum; above 0.

    Returns:
        (B,) dimensionless losses.

    Example:
        >>> centers = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
        >>> weighted_cluster(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), centers, torch.ones(2), 1.0, 1.0)
        tensor([2.5000])
    """
    squares, separation = own_distance_and_separation(embeddings, targets, centers)
    return squares / 2 * (weight / (scale * separation + delta)).index_select(0, targets)


class WeightedClusterLoss(MovingCenters):
    """Mean of `weighted_cluster` over the batch, with centers that follow and repel each other.

    Args:
        context: supplies the class counts and the embedding size.
        delta: added to the separation, in squared embedding units; above 0.
        power: of the class weights.
        separation: "sum" over the other centers (the paper's reading) or their "mean".
        term_weight: "class" weights the term by class, "none" does not.
        alpha: how far centers move each step, in (0, 1].
    """

    traits = MEAN_OF_ROWS | SMOOTH | RIGID_MOTIONS | {Trait.ZERO_AT_SEPARATION}
    homogeneity = Homogeneity(0, {"delta": 2})
    moves_some_classes = True

    def __init__(
        self,
        context: LossContext,
        *,
        delta: float = 1.0,
        power: float = 1.0,
        separation: str = "sum",
        term_weight: str = "class",
        alpha: float = 0.5,
    ) -> None:
        super().__init__(context, alpha)
        self.delta = number("delta", delta, above=0)
        self.separation = choice("separation", separation, ("sum", "mean"))
        self.term_weight = choice("term_weight", term_weight, ("class", "none"))
        power = number("power", power, minimum=0)
        self.class_weights = ClassWeights(context, power if self.term_weight == "class" else 0.0)

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        centers = self.centers_like(embeddings)
        # With a single center there is nothing to be separated from: a zero, still connected.
        weight = self.class_weights(embeddings.dtype) * (started(centers).sum() > 1)
        return weighted_cluster(embeddings, targets, centers, weight, self._separation_scale(centers), self.delta)

    def value(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        centers = self.centers_like(embeddings)
        eager = len(targets) and self._has_rows_of(WeightedClusterLoss) and is_fast(embeddings, targets, centers)
        if not (eager and all_started(centers)):
            return super().value(embeddings, targets)
        scale = 1 / (len(centers) - 1) if self.separation == "mean" else 1.0
        fast = partial(mean_ratio_to_separation, scale=scale, delta=self.delta)
        formula = partial(_mean, scale=scale, delta=self.delta)
        return with_gradient(fast, formula, embeddings, targets, centers, self.class_weights(embeddings.dtype))

    def moved(self, centers: Tensor, statistics: ClassStatistics) -> Tensor:
        own, counts = statistics.of(centers), statistics.counts
        number_started, mean_of_centers = mean_center(centers)
        scale = self._separation_scale(centers)
        separation = scale * statistics.of(center_separation(centers))
        push = torch.minimum(scale * statistics.scatter / (separation + self.delta), 0.9 / number_started)
        pull = own - statistics.mean
        step = pull - (push * number_started).unsqueeze(1) * (own - mean_of_centers)
        share = self.alpha * counts / (1 + counts) * (number_started > 1)
        return own - share.unsqueeze(1) * step

    def moved_in_place(self, embeddings: Tensor, targets: Tensor) -> bool:
        if type(self).moved is not WeightedClusterLoss.moved or not all_started(self.centers):
            return False
        scale = 1 / (len(self.centers) - 1) if self.separation == "mean" else 1.0
        move_apart(self.centers, embeddings, targets, self.alpha, scale=scale, delta=self.delta)
        return True

    def _separation_scale(self, centers: Tensor) -> Tensor | float:
        if self.separation == "sum":
            return 1.0
        return 1 / (started(centers).sum() - 1).clamp(min=1).to(centers.dtype)


def _mean(
    embeddings: Tensor, targets: Tensor, centers: Tensor, weight: Tensor, *, scale: float, delta: float
) -> Tensor:
    return weighted_cluster(embeddings, targets, centers, weight, scale, delta).sum() / len(targets)


SPEC = LossSpec(
    name="weighted-cluster",
    factory=WeightedClusterLoss,
    summary="Class-weighted distance to the own center over the distances between centers.",
    reference="Ngo and Yoon, Facial Expression Recognition Based on Weighted-Cluster Loss and Deep Transfer Learning "
    "Using a Highly Imbalanced Dataset, Sensors 2020, 20(9), 2639",
    needs=frozenset({Need.EMBEDDINGS, Need.CLASS_COUNTS}),
    auxiliary=True,
    joint='weighted-softmax + 0.3*weighted-cluster(separation="mean", delta=0.001)',
    state_axes={"centers": ("class", "embedding")},
    variants=({"separation": "mean", "delta": 0.001}, {"term_weight": "none"}, {"power": 0.5}),
    limits=(({"power": 0.0}, 'weighted-cluster(term_weight="none")'),),
    loop=loops.weighted_cluster,
    use_when="classes differ in size and should also be compact; compare it with weighted-softmax, its other term",
    avoid_when="training is short, or only one hyper-parameter can be tuned: logit-adjusted is simpler",
)
