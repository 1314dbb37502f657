"""Triplet loss: same-class pairs should be nearer than other-class pairs by a margin.

For embeddings x_i in R^D, on the unit sphere if `normalize`, and every anchor a, positive p != a of its class and
negative n of another class,

    hinge = max(0, d(x_a, x_p) - d(x_a, x_n) + margin)         d squared or euclidean distance

    mining = "all"        every triplet of the batch
             "semihard"   those with d_ap < d_an < d_ap + margin
             "hard"       for each anchor, its farthest positive with its nearest negative

`average="active"` divides the sum by the number of hinges above zero, `"all"` by the number of triplets selected by
mining. A batch without triplets gives a zero connected to the graph. The derivatives of a hinge at 0 and of a distance
at 0 are defined as 0. `mining="all", distance="euclidean", normalize=True, average="active"` is
pytorch-metric-learning's `TripletMarginLoss`.

The value of a row depends on the other rows of the batch: each of several processes sees only the triplets within its
own rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from ..ops.triplet_means import fast_path
from ..ops.triplets import Mining, mean_hinge, unit_vectors
from ..ops.with_gradient import is_fast, with_gradient
from ..spec import LossSpec
from ..traits import SMOOTH, Homogeneity, Need, Trait
from ..types import LossContext
from . import loops
from .arguments import refuse_out_of_range
from .embedding_loss import EmbeddingLoss
from .hyperparameters import choice, flag, number


def triplet(
    embeddings: Tensor,
    targets: Tensor,
    *,
    margin: float = 0.2,
    mining: str = "all",
    distance: str = "squared",
    normalize: bool = True,
    average: str = "active",
) -> Tensor:
    """Return the mean hinge over the triplets of a batch.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers.
        margin: in units of the distance.
        mining: "all", "semihard" or "hard".
        distance: "squared" or "euclidean".
        normalize: whether to normalize the rows to unit length first.
        average: "active" or "all".

    Returns:
        () loss in units of the distance.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [1.0], [1.0]])
        >>> triplet(x, torch.tensor([0, 0, 1]), normalize=False, average="all")
        tensor(0.7000)
    """
    if not len(targets):
        return embeddings.sum()
    rows = unit_vectors(embeddings) if normalize else embeddings
    return mean_hinge(rows, targets, Mining(margin, mining, distance == "squared", average))


class TripletLoss(EmbeddingLoss):
    """`triplet` on the embeddings.

    Args:
        context: supplies the number of classes and the embedding size.
        margin: in units of the distance, at least 0.
        mining: "all", "semihard" or "hard".
        distance: "squared" or "euclidean".
        normalize: whether to normalize the embeddings to unit length first.
        average: "active" divides by the number of hinges above zero, "all" by the number of selected triplets.
    """

    traits = SMOOTH | {Trait.BATCH_COUPLED, Trait.PIECEWISE, Trait.ROTATION_INVARIANT, Trait.LABEL_EQUALITY}

    def __init__(
        self,
        context: LossContext,
        *,
        margin: float = 0.2,
        mining: str = "all",
        distance: str = "squared",
        normalize: bool = True,
        average: str = "active",
    ) -> None:
        super().__init__(context)
        self.margin = number("margin", margin, minimum=0)
        self.mining = choice("mining", mining, ("all", "semihard", "hard"))
        self.distance = choice("distance", distance, ("squared", "euclidean"))
        self.normalize = flag("normalize", normalize)
        self.average = choice("average", average, ("active", "all"))
        power = 2 if self.distance == "squared" else 1
        if self.normalize:
            diameter = 2.0**power
            self.traits = TripletLoss.traits | {Trait.SCALE_INVARIANT, Trait.SCALE_SAFE}
            self.homogeneity, self.upper_bound = Homogeneity(0), self.margin + diameter
            orthogonal = 2.0 ** (power / 2)
            if self.margin < orthogonal:
                self.traits |= {Trait.ZERO_AT_SEPARATION}
        else:
            self.traits = TripletLoss.traits | {Trait.TRANSLATION_INVARIANT, Trait.ZERO_AT_SEPARATION}
            self.homogeneity = Homogeneity(power, {"margin": power})

    def value(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        refuse_out_of_range(targets, self.num_classes)  # nothing below would fail on a wrong label
        settings: dict[str, Any] = {"margin": self.margin, "normalize": self.normalize, "average": self.average}
        fast = fast_path(embeddings, self.mining) if is_fast(embeddings, targets) else None
        if fast is None:
            return triplet(embeddings, targets, mining=self.mining, distance=self.distance, **settings)
        return with_gradient(
            partial(fast, squared=self.distance == "squared", **settings),
            partial(triplet, mining=self.mining, distance=self.distance, **settings),
            embeddings,
            targets,
        )


SPEC = LossSpec(
    name="triplet",
    factory=TripletLoss,
    summary="Hinge on the distances of same-class and other-class pairs.",
    reference="Schroff et al., FaceNet: A Unified Embedding for Face Recognition and Clustering, CVPR 2015",
    needs=frozenset({Need.EMBEDDINGS}),
    auxiliary=True,
    joint="softmax + 0.1*triplet",
    variants=(
        {"mining": "semihard", "average": "all"},
        {"mining": "hard"},
        {"mining": "hard", "average": "all"},
        {"distance": "euclidean"},
        {"normalize": False},
        {"average": "all"},
    ),
    loop=loops.triplet,
    use_when="embeddings are compared by distance, and batches hold several images of each class",
    avoid_when="classes are so rare that a batch seldom contains two images of one: those never form a pair",
)
