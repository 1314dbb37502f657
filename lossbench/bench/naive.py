"""Common, correct but memory-intensive implementations of the built-in losses, as a baseline for measurements.

They take the same arguments and return the same values; `tests/bench` compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..loss import Loss
from ..losses.center import CenterLoss
from ..losses.softmax import SoftmaxLoss
from ..losses.triplet import TripletLoss
from ..losses.weighted_cluster import WeightedClusterLoss
from ..losses.weighted_softmax import WeightedSoftmaxLoss
from ..types import LossContext, ModelOutput


class NaiveSoftmax(SoftmaxLoss):
    """A product of a one-hot matrix and the log-probabilities."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        true = F.one_hot(targets, self.num_classes).to(output.logits.dtype)
        terms: Tensor = -(true * output.logits.log_softmax(dim=1)).sum(dim=1)
        return terms.mean()


class NaiveWeightedSoftmax(WeightedSoftmaxLoss):
    """A product of a one-hot matrix, the log-probabilities and the weights; only `average="dataset"`."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        true = F.one_hot(targets, self.num_classes).to(output.logits.dtype)
        terms = -(true * output.logits.log_softmax(dim=1)).sum(dim=1)
        mean: Tensor = (self.class_weights(output.logits.dtype)[targets] * terms).mean()
        return mean


class NaiveCenter(CenterLoss):
    """A B x C matrix of squared distances by a matrix product, and a mask of the own class."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        x, c = output.embeddings, self.centers
        squares = x.square().sum(dim=1, keepdim=True) + c.square().sum(dim=1) - 2 * x @ c.T
        own = targets.unsqueeze(1) == torch.arange(len(c), device=x.device)
        total: Tensor = (squares * own).clamp(min=0).sum()
        return total / 2 / len(targets)


class NaiveWeightedCluster(WeightedClusterLoss):
    """B x C x D differences between the own center and every center."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        x, c = output.embeddings, self.centers
        own = c[targets]
        apart = (own.unsqueeze(1) - c.unsqueeze(0)).square().sum(dim=2).sum(dim=1)
        if self.separation == "mean":
            apart = apart / (len(c) - 1)
        squares = (x - own).square().sum(dim=1)
        mean: Tensor = (self.class_weights(x.dtype)[targets] * squares / 2 / (apart + self.delta)).mean()
        return mean


class NaiveTriplet(TripletLoss):
    """B x B x B hinges and masks; only `mining="all"`."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        x = F.normalize(output.embeddings) if self.normalize else output.embeddings
        distance = torch.cdist(x, x)
        distance = distance.square() if self.distance == "squared" else distance
        same = targets.unsqueeze(0) == targets.unsqueeze(1)
        positive = same & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        valid = positive.unsqueeze(2) & ~same.unsqueeze(1)
        hinge = (distance.unsqueeze(2) - distance.unsqueeze(1) + self.margin).relu() * valid
        divisor = (hinge > 0).sum() if self.average == "active" else valid.sum()
        return hinge.sum() / divisor.clamp(min=1)


Build = Callable[..., Loss]

FORMS: dict[str, tuple[Build, dict[str, Any]]] = {
    "softmax": (NaiveSoftmax, {}),
    "weighted-softmax": (NaiveWeightedSoftmax, {"average": "dataset"}),
    "center": (NaiveCenter, {}),
    "weighted-cluster": (NaiveWeightedCluster, {}),
    "triplet": (NaiveTriplet, {"mining": "all"}),
}
"""Naive implementations of built-in losses by name, with the hyper-parameters that they support."""


def naive(name: str, context: LossContext, hyperparameters: dict[str, Any]) -> Loss | None:
    """Return the naive implementation of a built-in loss, or None for unsupported hyper-parameters."""
    if name not in FORMS:
        return None
    build, only = FORMS[name]
    made = build(context, **hyperparameters)
    return made if all(getattr(made, key) == value for key, value in only.items()) else None
