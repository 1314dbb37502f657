"""The base class of every loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor, nn

from .traits import Homogeneity, Trait
from .types import ModelOutput


class WeightedTerm(NamedTuple):
    """One term of an objective.

    Attributes:
        name: registry name, or the name of the class for a loss that was not made by `create_loss`.
        coefficient: factor of the term's value in the objective.
        loss: the term without its coefficient.
    """

    name: str
    coefficient: float
    loss: Loss


class Loss(nn.Module, ABC):
    """A training objective, or one term of it.

    A subclass only has to implement `__init__(self, context, ...)` and `forward`. State that gradient descent learns is
    an `nn.Parameter`; state with its own update rule is a buffer, changed only in `update_state`.

    Attributes:
        traits: traits of this instance, which select its laws.
        homogeneity: how its value scales with the unit of the embeddings, or None if unknown.
        upper_bound: upper bound of its value, or None.
        label: name and distribution for messages; set by `create_loss`.
        primary: position in `terms()` of the term that defines the scores.
    """

    label: str = ""
    primary: int = 0
    traits: frozenset[Trait] = frozenset()
    homogeneity: Homogeneity | None = None
    upper_bound: float | None = None

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        """Return the value for one batch, a scalar connected to the graph, without side effects.

        Args:
            output: embeddings (B, D) and logits (B, C).
            targets: (B,) int64 in [0, C).
        """

    def scores(self, output: ModelOutput) -> Tensor:
        """Return (B, C) scores, whose argmax is the prediction."""
        return output.logits

    def begin_epoch(self, epoch: int, total: int) -> None:
        """Update schedules; called before epoch `epoch` of `total`, counted from 0."""

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        """Update buffers; called once after each optimizer step, with the step's detached outputs.

        A loss whose buffers depend on the batch must sum over ranks with `lossbench.distributed.sum_over_ranks`.
        """

    def terms(self) -> tuple[WeightedTerm, ...]:
        """Return the terms of the objective; a loss that is not a sum is its own only term."""
        return (WeightedTerm(self.label.partition(" of ")[0] or type(self).__name__, 1.0, self),)

    def param_groups(self) -> list[dict[str, Any]]:
        """Return groups for the optimizer: params, weight_decay, and lr_scale relative to the run's learning rate."""
        params = list(self.parameters())
        return [{"params": params, "weight_decay": 0.0, "lr_scale": 1.0}] if params else []
