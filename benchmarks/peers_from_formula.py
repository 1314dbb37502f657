"""Peers that are not in any dependency, written from their formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """The mean over rows of |x - c_y|², with learned centers and distances as x² + c² - 2xc, as KaiyangZhou has it.

    A masked distance counts as 1e-12, because all C distances are clamped to [1e-12, 1e12] before they are summed.

    Args:
        num_classes: C.
        feat_dim: D.
    """

    def __init__(self, num_classes: int, feat_dim: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        squares = x.square().sum(1, keepdim=True) + self.centers.square().sum(1)
        distances = squares.addmm(x, self.centers.t(), alpha=-2)
        own = labels.unsqueeze(1).expand(distances.shape) == torch.arange(len(self.centers), device=x.device)
        return (distances * own).clamp(1e-12, 1e12).sum() / len(x)


class ClassWeightedCrossEntropy(nn.CrossEntropyLoss):
    """`nn.CrossEntropyLoss` with the weights 1/2, 1, 2, 4, …, one per class.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(weight=2.0 ** (torch.arange(num_classes) - 1))
