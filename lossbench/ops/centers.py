"""Class centers, (C, D), that start and move with the samples of each step.

A row of NaN marks a class that has not started; such a class contributes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..distributed import sum_over_ranks
from .center_distances import (
    center_separation,
    mean_center,
    own_distance_and_separation,
    squared_distance_to_own_center,
    started,
)
from .class_sums import class_sums

__all__ = [
    "ClassStatistics",
    "center_separation",
    "class_statistics",
    "mean_center",
    "own_distance_and_separation",
    "present_statistics",
    "squared_distance_to_own_center",
    "start_or_move",
    "started",
]


class ClassStatistics(NamedTuple):
    """Statistics of classes over the samples of a step, over all processes.

    Attributes:
        counts: (K,) samples, in the dtype of the embeddings.
        mean: (K, D) mean embedding; zero where the count is zero.
        scatter: (K,) mean squared distance to the class's center; NaN if it has none or if the count is zero.
        classes: (K,) class numbers, which may repeat with equal rows; None for all C classes in order.
    """

    counts: Tensor
    mean: Tensor
    scatter: Tensor
    classes: Tensor | None = None

    def of(self, values: Tensor) -> Tensor:
        """Return the rows of (C, ...) values that belong to these classes, (K, ...)."""
        return values if self.classes is None else values.index_select(0, self.classes)


def class_statistics(embeddings: Tensor, targets: Tensor, centers: Tensor) -> ClassStatistics:
    """Return counts, means and scatter around `centers` per class, summed over processes.

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
    counts = class_sums(embeddings.new_ones(len(targets)), targets, len(centers))
    total = class_sums(embeddings, targets, len(centers))
    squares = (embeddings - centers.index_select(0, targets)).square().sum(dim=1)  # NaN without a center
    scatter = class_sums(squares, targets, len(centers))
    sum_over_ranks(counts, total, scatter)
    return ClassStatistics(counts, total / counts.clamp(min=1).unsqueeze(1), scatter / counts)


def present_statistics(embeddings: Tensor, targets: Tensor, centers: Tensor) -> ClassStatistics:
    """Return the statistics of `class_statistics` for the classes of a batch only, one row per sample.

    Takes O(B D + C) time and memory instead of O(C D), without waiting for a GPU. Not for several processes: each would
    have other classes.

    Args:
        embeddings: (B, D) of all samples of the step.
        targets: (B,) class numbers.
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> x, centers = torch.tensor([[1.0], [3.0]]), torch.zeros(9, 1)
        >>> present_statistics(x, torch.tensor([7, 7]), centers).mean
        tensor([[2.],
                [2.]])
    """
    targets = targets.long()
    size = len(targets)
    # The sample written last represents its class, which gives the classes of the batch numbers below B.
    number = targets.new_empty(len(centers)).index_copy_(0, targets, torch.arange(size, device=targets.device))
    group = number.index_select(0, targets)
    counts = class_sums(embeddings.new_ones(size), group, size)
    total = class_sums(embeddings, group, size)
    squares = (embeddings - centers.index_select(0, targets)).square().sum(dim=1)  # NaN without a center
    scatter = class_sums(squares, group, size)
    return ClassStatistics(
        counts.index_select(0, group),
        (total / counts.clamp(min=1).unsqueeze(1)).index_select(0, group),
        (scatter / counts).index_select(0, group),
        targets,
    )


def start_or_move(centers: Tensor, moved: Tensor, statistics: ClassStatistics) -> Tensor:
    """Return the centers after a step: a class starts at the mean of its first batch and then takes `moved`.

    Args:
        centers: (K, D) before the step, of the classes of the statistics.
        moved: (K, D) new positions of started classes.
        statistics: statistics of the step.
    """
    present = (statistics.counts > 0).unsqueeze(1)
    unstarted = ~started(centers).unsqueeze(1)
    return torch.where(present, torch.where(unstarted, statistics.mean, moved), centers)
