"""The one base class of every loss."""

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

    A subclass with `__init__(self, context, ...)` and `forward` alone is complete. State that gradient descent
    learns is an `nn.Parameter`; state that moves by a rule of its own is a buffer, changed in `update_state` only.

    Attributes:
        traits: what holds for this instance; the laws judge it by them.
        homogeneity: how its value answers to a change of the embeddings' unit, where that is known.
        upper_bound: what its value never exceeds, where there is such a number.
        label: its name and distribution for messages; `create_loss` sets it.
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
        """The value for one batch, a scalar connected to the graph. Pure: it changes nothing.

        Args:
            output: embeddings (B, D) and logits (B, C).
            targets: (B,) int64 in [0, C).
        """

    def scores(self, output: ModelOutput) -> Tensor:
        """(B, C) scores as trained: what is argmax-ed, stored and calibrated."""
        return output.logits

    def begin_epoch(self, epoch: int, total: int) -> None:
        """Called before epoch `epoch` of `total`, from 0: the place for schedules."""

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        """Moves buffers. Called once after each optimizer step, with the step's detached outputs.

        A loss whose buffers depend on the batch sums over ranks with `lossbench.distributed.sum_over_ranks`.
        """

    def terms(self) -> tuple[WeightedTerm, ...]:
        """Return the terms of the objective; a loss that is not a sum is its own only term."""
        return (WeightedTerm(self.label.partition(" of ")[0] or type(self).__name__, 1.0, self),)

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer: params, weight_decay, and lr_scale relative to the run's learning rate."""
        params = list(self.parameters())
        return [{"params": params, "weight_decay": 0.0, "lr_scale": 1.0}] if params else []
