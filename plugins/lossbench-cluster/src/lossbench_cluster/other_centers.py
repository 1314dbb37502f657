"""Squared distances from samples to the centers of all classes but their own, without a table of them.

Over k centers of mean m, sum_j |x - c_j|^2 = k |x - m|^2 + sum_j |c_j - m|^2. Mean and scatter of all centers but one
follow from those of all, so that the sums take O(B D + C D) and no difference of large squares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.authoring import mean_center, started


def distance_to_other_centers(embeddings: Tensor, targets: Tensor, centers: Tensor) -> Tensor:
    """(B,) sum of squared distances from each sample to the started centers of the other classes.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> distance_to_other_centers(torch.tensor([[1.0]]), torch.tensor([0]), torch.tensor([[0.0], [3.0], [5.0]]))
        tensor([20.])
    """
    number_started, mean = mean_center(centers)
    has_center = started(centers).unsqueeze(1)
    offset = torch.where(has_center, centers - mean, 0.0)  # of each center from the mean of all
    others = (number_started - has_center.squeeze(1).to(offset)).clamp(min=1)
    mean_of_others = mean - offset / others.unsqueeze(1)
    squares = offset.square().sum(dim=1)
    scatter_of_others = (squares.sum() - squares * (1 + 1 / others)).clamp(min=0)
    to_mean = (embeddings - mean_of_others.index_select(0, targets)).square().sum(dim=1)
    return others.index_select(0, targets) * to_mean + scatter_of_others.index_select(0, targets)
