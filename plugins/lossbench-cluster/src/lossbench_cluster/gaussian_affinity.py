"""Gaussian affinity: a margin between a sample's affinity to its class's prototype and to the other prototypes.

For embeddings x_i in R^D, targets y_i and learned prototypes w, one per class,

    a_j(x) = exp(-|x - w_j|^2 / sigma)                                    affinity, in (0, 1]

    L = 1/B sum_i sum_{j != y_i} max(0, margin + a_j(x_i) - a_{y_i}(x_i)) + diversity R(w)

    R(w) = mean over pairs j < k of (|w_j - w_k|^2 - mu)^2                mu the mean of |w_j - w_k|^2 over pairs

sigma is in squared embedding units; the hinge is dimensionless; R, which is zero for equidistant prototypes, is in the
fourth power of the embeddings' unit. Several sigma away from every prototype all affinities are nearly 0: the hinge
then costs (C - 1) margin and has almost no gradient. Prototypes start at random, at squared distances of about sigma.

The terms are the paper's as its re-implementations state them, for one prototype per class; the paper has several. Two
things are ours: R averages over pairs of different prototypes (one known re-implementation counts each prototype as a
pair with itself), and the classifier remains the model's, with this loss as an additional term, whereas the paper
classifies by affinity. With a coefficient of 1 the term outweighs softmax in the embeddings; hence 0.1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lossbench import Homogeneity, LossContext, LossSpec, Need, Trait
from lossbench.authoring import MEAN_OF_ROWS, RIGID_MOTIONS, SMOOTH, EmbeddingLoss, number, squared_distances

from .loops import gaussian_affinity as loop


def gaussian_affinity(embeddings: Tensor, targets: Tensor, prototypes: Tensor, sigma: float, margin: float) -> Tensor:
    """Return each sample's sum of hinges on affinities; the backward pass stores B times C numbers.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        prototypes: (C, D).
        sigma: in squared embedding units, positive.
        margin: of the affinities.

    Returns:
        (B,) losses without unit.

    Example:
        >>> x, prototypes = torch.tensor([[0.0]]), torch.tensor([[0.0], [9.0]])
        >>> gaussian_affinity(x, torch.tensor([1]), prototypes, sigma=1.0, margin=0.5)
        tensor([1.5000])
    """
    squares = squared_distances(embeddings, prototypes)
    affinity = (-squares / sigma).exp()
    index = targets.unsqueeze(1)
    hinges = (margin + affinity - affinity.gather(1, index)).relu()
    return hinges.scatter(1, index, 0.0).sum(dim=1)


def spread(prototypes: Tensor) -> Tensor:
    """Return the variance of the squared distances over pairs of prototypes, R(w) above; takes memory of C times C.

    Args:
        prototypes: (C, D), C at least 2.

    Example:
        >>> spread(torch.tensor([[0.0], [1.0], [3.0]]))
        tensor(10.8889)
    """
    squares = squared_distances(prototypes, prototypes.view_as(prototypes))  # dynamo refuses one tensor twice
    itself = torch.eye(len(prototypes), dtype=torch.bool, device=prototypes.device)
    pairs = len(prototypes) * (len(prototypes) - 1)  # each twice
    residual = squares - squares.sum() / pairs
    return torch.where(itself, 0.0, residual).square().sum() / pairs


class GaussianAffinityLoss(EmbeddingLoss):
    """Mean of `gaussian_affinity` over the batch plus `diversity` times `spread` of the learned prototypes.

    Args:
        context: supplies the number of classes, the embedding size and the seed of the prototypes.
        sigma: width of the affinity, in squared embedding units, above 0.
        margin: between affinities, at least 0.
        diversity: weight of the equidistance of prototypes, at least 0.
        lr_scale: learning rate of the prototypes relative to that of the run, above 0.
    """

    traits = MEAN_OF_ROWS | SMOOTH | RIGID_MOTIONS | {Trait.PIECEWISE, Trait.SCALE_SAFE}
    homogeneity = Homogeneity(0, {"sigma": 2, "diversity": -4})

    def __init__(
        self,
        context: LossContext,
        *,
        sigma: float = 10.0,
        margin: float = 0.5,
        diversity: float = 0.001,
        lr_scale: float = 1.0,
    ) -> None:
        super().__init__(context)
        self.sigma, self.margin = number("sigma", sigma, above=0), number("margin", margin, minimum=0)
        self.diversity = number("diversity", diversity, minimum=0)
        self.lr_scale = number("lr_scale", lr_scale, above=0)
        self.seed = context.seed
        self.prototypes = nn.Parameter(torch.empty(context.num_classes, context.embedding_dim))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        generator = torch.Generator("cpu").manual_seed(self.seed)
        directions = torch.randn(self.prototypes.shape, generator=generator, device="cpu", dtype=torch.float32)
        self.prototypes.copy_(directions * (self.sigma / (2 * self.embedding_dim)) ** 0.5)

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        prototypes = self.prototypes.to(embeddings.dtype)
        terms = gaussian_affinity(embeddings, targets, prototypes, self.sigma, self.margin)
        return terms + self.diversity * spread(prototypes)

    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.prototypes], "weight_decay": 0.0, "lr_scale": self.lr_scale}]


SPEC = LossSpec(
    name="gaussian-affinity",
    factory=GaussianAffinityLoss,
    summary="Margin between nearness to the own class's learned prototype and to the others'.",
    reference="after Hayat et al., Gaussian Affinity for Max-margin Class Imbalanced Learning, ICCV 2019, "
    "arXiv 1901.07711",
    needs=frozenset({Need.EMBEDDINGS}),
    auxiliary=True,
    joint="softmax + 0.1*gaussian-affinity",
    state_axes={"prototypes": ("class", "embedding")},
    variants=({"sigma": 2.0, "margin": 0.1, "diversity": 0.0},),
    loop=loop,
    use_when="prototypes should be spread evenly, and the scale of the embeddings is under control",
    avoid_when="embeddings are many sigma away from every prototype: the hinge then has almost no gradient",
)
