"""Center loss: squared distance of an embedding to the moving center of its class.

For embeddings x_i in R^D, targets y_i and centers c,

    L   = 1/B sum_i 1/2 |x_i - c_{y_i}|^2
    c_j <- c_j - alpha sum_{i: y_i = j} (c_j - x_i) / (1 + n_j)        n_j samples of class j in the step

The published objective adds it to softmax with a coefficient. Implementations differ in two ways: many sum over the
batch, which makes their coefficient B times smaller than ours; and many start centers at random, whereas ours start at
the class mean of the first batch that contains the class (until then the class contributes nothing).
"""

from __future__ import annotations

from torch import Tensor

from ..ops.center_means import mean_squared_offset, own_started
from ..ops.centers import squared_distance_to_own_center
from ..ops.with_gradient import is_fast, with_gradient
from ..spec import LossSpec
from ..traits import MEAN_OF_ROWS, RIGID_MOTIONS, SMOOTH, Homogeneity, Need, Trait
from ..types import LossContext
from . import loops
from .embedding_loss import MovingCenters


def center(embeddings: Tensor, targets: Tensor, centers: Tensor) -> Tensor:
    """Return half the squared distance of each sample to its own center; zero for a class that has not started.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.

    Returns:
        (B,) losses in squared embedding units.

    Example:
        >>> import torch
        >>> center(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.zeros(1, 2))
        tensor([12.5000])
    """
    return squared_distance_to_own_center(embeddings, targets, centers) / 2


class CenterLoss(MovingCenters):
    """Mean of `center` over the batch, with centers that follow their classes.

    Args:
        context: supplies the number of classes and the embedding size.
        alpha: how far centers move towards their samples each step, in (0, 1].
    """

    traits = MEAN_OF_ROWS | SMOOTH | RIGID_MOTIONS | {Trait.ZERO_AT_SEPARATION, Trait.ABSENT_CLASS_STATE_FIXED}
    homogeneity = Homogeneity(2)
    moves_some_classes = True

    def __init__(self, context: LossContext, *, alpha: float = 0.5) -> None:
        super().__init__(context, alpha)

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return center(embeddings, targets, self.centers_like(embeddings))

    def value(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        centers = self.centers_like(embeddings)
        eager = len(targets) and self._has_rows_of(CenterLoss) and is_fast(embeddings, targets, centers)
        if not (eager and own_started(centers, targets)):
            return super().value(embeddings, targets)
        return with_gradient(mean_squared_offset, _mean, embeddings, targets, centers)


def _mean(embeddings: Tensor, targets: Tensor, centers: Tensor) -> Tensor:
    rows = center(embeddings, targets, centers)
    return rows.sum() / len(targets)


SPEC = LossSpec(
    name="center",
    factory=CenterLoss,
    summary="Squared distance of an embedding to the moving center of its class.",
    reference="Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016",
    needs=frozenset({Need.EMBEDDINGS}),
    auxiliary=True,
    joint="softmax + 0.001*center",
    state_axes={"centers": ("class", "embedding")},
    variants=({"alpha": 0.1},),
    loop=loops.center,
    use_when="embeddings are compared later, as in verification: it makes classes compact",
    avoid_when="only balanced accuracy matters: added to softmax it did not improve it in our measurements",
)
