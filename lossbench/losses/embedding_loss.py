"""The base of losses that read embeddings, and of those whose class centers move by a rule of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributed import is_distributed
from ..ops.center_moves import move_to_means
from ..ops.centers import ClassStatistics, class_statistics, present_statistics, start_or_move
from ..ops.with_gradient import is_fast
from ..types import LossContext, ModelOutput
from .arguments import embeddings_of, matrix
from .hyperparameters import number
from .row_loss import RowLoss


class EmbeddingLoss(RowLoss):
    """A loss on the embeddings: the mean over the rows of `per_sample`, or what `value` makes of the whole batch.

    Args:
        context: supplies the number of classes and the embedding size.
    """

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.embedding_dim = context.embedding_dim

    def inputs(self, output: ModelOutput, targets: Tensor) -> Tensor:
        embeddings = embeddings_of(output, self._name)
        return matrix("embeddings", embeddings, targets, self.embedding_dim, self.num_classes)


class MovingCenters(EmbeddingLoss):
    """A loss with one center per class that starts at its first class mean and moves after each optimizer step.

    Args:
        context: supplies the number of classes and the embedding size.
        alpha: how far centers move in each step, in (0, 1].

    Attributes:
        centers: (C, D) buffer; a row of NaN marks a class that has not started.
        moves_some_classes: whether `moved` accepts statistics of some classes only (see `ClassStatistics.of`). A step
            then takes time for the classes of the batch instead of all.
    """

    centers: Tensor
    moves_some_classes = False

    def __init__(self, context: LossContext, alpha: float) -> None:
        super().__init__(context)
        self.alpha = number("alpha", alpha, above=0, maximum=1)
        wide = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.register_buffer("centers", torch.full((context.num_classes, context.embedding_dim), torch.nan, dtype=wide))

    def reset_parameters(self) -> None:
        self.centers.fill_(torch.nan)

    def centers_like(self, embeddings: Tensor) -> Tensor:
        """Return the (C, D) centers in the dtype of the embeddings, also if the loss was converted to half precision.

        Args:
            embeddings: checked, therefore in float32 or float64.
        """
        return self.centers.to(embeddings.dtype)

    def moved(self, centers: Tensor, statistics: ClassStatistics) -> Tensor:
        """Return the centers of the statistics' classes after a step; here each moves toward the mean of its class.

        Args:
            centers: (C, D) before the step, in float32 or float64.
            statistics: statistics of K classes over the samples of the step, over all processes.

        Returns:
            (K, D) centers.
        """
        own = statistics.of(centers)
        share = (self.alpha * statistics.counts / (1 + statistics.counts)).unsqueeze(1)
        return own - share * (own - statistics.mean)

    def moved_in_place(self, embeddings: Tensor, targets: Tensor) -> bool:
        """Move the centers as `moved` does, by a fast path if there is one; return whether they were moved.

        Args:
            embeddings: (B, D) on the CPU in the dtype of the centers, of all samples of the step, B at least 1.
            targets: (B,) class numbers in [0, C).
        """
        if type(self).moved is not MovingCenters.moved:
            return False
        move_to_means(self.centers, embeddings, targets, self.alpha)
        return True

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        embeddings = embeddings_of(output, self._name)
        if len(targets) and not is_distributed() and is_fast(embeddings, targets, self.centers):
            exact = embeddings.dtype is self.centers.dtype and embeddings.dtype in (torch.float32, torch.float64)
            if exact and self.moved_in_place(embeddings, targets.long()):
                return
        centers = self.centers.to(torch.promote_types(self.centers.dtype, torch.float32))
        few = self.moves_some_classes and len(centers) > len(targets) and not is_distributed()
        statistics_of = present_statistics if few else class_statistics
        statistics = statistics_of(embeddings_of(output, self._name).to(centers), targets, centers)
        rows = start_or_move(statistics.of(centers), self.moved(centers, statistics), statistics)
        if statistics.classes is None:
            self.centers.copy_(rows)
        else:
            self.centers.index_copy_(0, statistics.classes, rows.to(self.centers.dtype))
