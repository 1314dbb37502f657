"""The base of losses that read embeddings, and of those whose class centers move by a rule of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops.centers import ClassStatistics, class_statistics, start_or_move
from ..types import LossContext, ModelOutput
from .arguments import matrix, number
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
        return matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)


class MovingCenters(EmbeddingLoss):
    """A loss with one center per class that starts at its first class mean and moves after each optimizer step.

    Args:
        context: supplies the number of classes and the embedding size.
        alpha: how far centers move in each step, in (0, 1].
    """

    centers: Tensor

    def __init__(self, context: LossContext, alpha: float) -> None:
        super().__init__(context)
        self.alpha = number("alpha", alpha, above=0, maximum=1)
        self.register_buffer("centers", torch.full((context.num_classes, context.embedding_dim), torch.nan))

    def moved(self, statistics: ClassStatistics) -> Tensor:
        """Return the (C, D) centers after a step; here each moves toward the mean of its class.

        Args:
            statistics: of the step's samples, over all processes.
        """
        share = (self.alpha * statistics.counts / (1 + statistics.counts)).unsqueeze(1)
        return self.centers - share * (self.centers - statistics.mean)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        statistics = class_statistics(output.embeddings.to(self.centers), targets, self.centers)
        self.centers.copy_(start_or_move(self.centers, self.moved(statistics), statistics))
