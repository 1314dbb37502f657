"""Class centers, (C, D), that start and move with the samples of each step.

A row of NaN marks a class that has not started: it takes part in nothing.
"""

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
    squares = (embeddings - centers.index_select(0, targets)).square().sum(dim=1)  # NaN without a center
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


def squared_distance_to_own_center(embeddings: Tensor, targets: Tensor, centers: Tensor) -> Tensor:
    """(B,) squared distance of each sample to its class's center; zero for a class that has not started.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> squared_distance_to_own_center(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.zeros(1, 2))
        tensor([25.])
    """
    has_center = started(centers).index_select(0, targets).unsqueeze(1)
    # 0 * x and not 0: a NaN in a row must surface even before its class has a center.
    difference = torch.where(has_center, embeddings - centers.index_select(0, targets), 0 * embeddings)
    return difference.square().sum(dim=1)


def mean_center(centers: Tensor) -> tuple[Tensor, Tensor]:
    """The number of started classes, (), and the mean of their centers, (D,)."""
    has_center = started(centers)
    number_started = has_center.sum().to(centers.dtype)
    total = torch.where(has_center.unsqueeze(1), centers, 0.0).sum(dim=0)
    return number_started, total / number_started.clamp(min=1)


def center_separation(centers: Tensor) -> Tensor:
    """(C,) sum of squared distances from each center to every other; zero for a class that has not started.

    Args:
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> center_separation(torch.tensor([[0.0], [1.0], [5.0]]))
        tensor([26., 17., 41.])
    """
    number_started, mean = mean_center(centers)
    has_center = started(centers)
    squared_radius = torch.where(has_center.unsqueeze(1), centers - mean, 0.0).square().sum(dim=1)
    return torch.where(has_center, number_started * squared_radius + squared_radius.sum(), 0.0)
