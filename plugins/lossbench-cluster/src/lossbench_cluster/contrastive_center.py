"""Contrastive-center: squared distance to the own center over those to the other centers.

For embeddings x_i in R^D, targets y_i and centers c,

    L = 1/B sum_i 1/2 |x_i - c_{y_i}|^2 / (sum_{j != y_i} |x_i - c_j|^2 + delta)          [without unit]

    c_j <- c_j - alpha sum_{i: y_i = j} (c_j - x_i) / (1 + n_j)        n_j samples of class j in the step

delta, in squared embedding units, keeps the quotient finite. With the denominators held fixed it is center loss, each
row divided by its own.

The quotient is the paper's (as restated by others; the paper itself was not at hand), which sums over the batch: a
coefficient there is B times larger here. The paper's centers are learned by gradient descent; ours move as those of
lossbench's `center`: they start at the class mean of the first batch that holds the class, and follow it. Until two
classes have started the loss is zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import Homogeneity, Loss, LossContext, LossSpec, ModelOutput, Need, Trait
from lossbench.losses.arguments import check_target_range, matrix, number
from lossbench.ops.centers import class_statistics, squared_distance_to_own_center, start_or_move, started

from .loops import contrastive_center as loop
from .other_centers import distance_to_other_centers


def contrastive_center(embeddings: Tensor, targets: Tensor, centers: Tensor, denominator: Tensor) -> Tensor:
    """Per-sample half squared distance to the own center over the sample's denominator.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started, whose samples give zero.
        denominator: (B,) positive: see `distance_to_other_centers`.

    Returns:
        (B,) losses without unit.

    Example:
        >>> x, y, centers = torch.tensor([[1.0]]), torch.tensor([0]), torch.tensor([[0.0], [3.0]])
        >>> contrastive_center(x, y, centers, distance_to_other_centers(x, y, centers) + 1)
        tensor([0.1000])
    """
    return squared_distance_to_own_center(embeddings, targets, centers) / 2 / denominator


class ContrastiveCenterLoss(Loss):
    """Mean of `contrastive_center` over the batch, with centers that follow their classes.

    Args:
        context: supplies the number of classes and the embedding size.
        delta: added to each denominator, in squared embedding units; above 0.
        alpha: how far centers move towards their samples each step, in (0, 1].
    """

    traits = frozenset(
        {
            Trait.SAMPLEWISE,
            Trait.SHARDABLE,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.VMAP,
            Trait.TRANSLATION_INVARIANT,
            Trait.ROTATION_INVARIANT,
            Trait.ZERO_AT_SEPARATION,
            Trait.FULLGRAPH,
        }
    )
    homogeneity = Homogeneity(0, {"delta": 2})
    centers: Tensor

    def __init__(self, context: LossContext, *, delta: float = 1.0, alpha: float = 0.5) -> None:
        super().__init__()
        self.num_classes, self.embedding_dim = context.num_classes, context.embedding_dim
        self.delta = number("delta", delta, above=0)
        self.alpha = number("alpha", alpha, above=0, maximum=1)
        self.register_buffer("centers", torch.full((context.num_classes, context.embedding_dim), torch.nan))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        embeddings = matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)
        targets = targets.long()
        try:
            denominator = distance_to_other_centers(embeddings, targets, self.centers) + self.delta
            terms = contrastive_center(embeddings, targets, self.centers, denominator)
        except IndexError:
            check_target_range(targets, self.num_classes)
            raise
        return terms.sum() * (started(self.centers).sum() > 1) / max(len(targets), 1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        statistics = class_statistics(output.embeddings.to(self.centers), targets, self.centers)
        share = (self.alpha * statistics.counts / (1 + statistics.counts)).unsqueeze(1)
        moved = self.centers - share * (self.centers - statistics.mean)
        self.centers.copy_(start_or_move(self.centers, moved, statistics))


SPEC = LossSpec(
    name="contrastive-center",
    factory=ContrastiveCenterLoss,
    summary="Squared distance to the own center over the squared distances to the other centers.",
    reference="Qi and Su, Contrastive-center loss for deep neural networks, ICIP 2017, arXiv 1707.07391",
    needs=frozenset({Need.EMBEDDINGS}),
    traits=ContrastiveCenterLoss.traits,
    auxiliary=True,
    joint="softmax + 1*contrastive-center",
    state_axes={"centers": ("class", "embedding")},
    variants=({"delta": 0.01, "alpha": 0.1},),
    loop=loop,
    use_when="compact and separated classes are wanted without choosing the embeddings' scale",
    avoid_when="there are many classes: the nearest other center drowns in the sum over all",
)
