"""Sums over the samples of each class, and the state that is built on them: moving class centers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..distributed import sum_over_ranks


class ClassStatistics(NamedTuple):
    """What a step's samples say of each class, over all ranks.

    Attributes:
        counts: (C,) samples, in the dtype of the embeddings.
        mean: (C, D) mean embedding; zero where the count is zero.
        scatter: (C,) mean squared distance to the class's center; NaN where it has none or the count is zero.
    """

    counts: Tensor
    mean: Tensor
    scatter: Tensor


def class_statistics(embeddings: Tensor, targets: Tensor, centers: Tensor) -> ClassStatistics:
    """Counts, means and scatter around `centers`, by class.

    Args:
        embeddings: (B, D) of this rank; B may be 0.
        targets: (B,) class numbers.
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> x, centers = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
        >>> class_statistics(x, torch.tensor([1, 1]), centers).scatter
        tensor([nan, 5.])
    """
    targets = targets.long()
    counts = centers.new_zeros(len(centers)).index_add_(0, targets, embeddings.new_ones(len(targets)))
    total = torch.zeros_like(centers).index_add_(0, targets, embeddings)
    squares = (embeddings - centers.index_select(0, targets)).square().sum(dim=1)
    scatter = centers.new_zeros(len(centers)).index_add_(0, targets, squares)
    sum_over_ranks(counts, total, scatter)
    return ClassStatistics(counts, total / counts.clamp(min=1).unsqueeze(1), scatter / counts)


def started(centers: Tensor) -> Tensor:
    """(C,) bool: which classes have a center; the row of one that has not started is NaN."""
    return ~centers[:, 0].isnan()


def start_or_move(centers: Tensor, moved: Tensor, statistics: ClassStatistics) -> Tensor:
    """The centers after a step: a class in its first batch starts at its mean, one that had started takes `moved`.

    Args:
        centers: (C, D) before the step.
        moved: (C, D) where started classes go.
        statistics: of the step.
    """
    present = (statistics.counts > 0).unsqueeze(1)
    unstarted = ~started(centers).unsqueeze(1)
    return torch.where(present, torch.where(unstarted, statistics.mean, moved), centers)
