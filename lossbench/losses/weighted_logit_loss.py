"""The base of losses on logits with optional class weights, from the start or after a fraction of the epochs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import HyperparameterError
from ..types import LossContext
from .class_weights import ClassWeights
from .hyperparameters import number
from .logit_loss import LogitLoss


class WeightedLogitLoss(LogitLoss):
    """A `LogitLoss` with class weights; if none are asked for, `weight` returns None and no class count is read.

    Args:
        context: supplies the class counts.
        power: 1 gives all classes the same total weight; 0 for no weights.
        weights: C numbers instead, used as they are.
        beta: weights by effective number instead.
        defer: fraction of the epochs without weights.
    """

    def __init__(
        self,
        context: LossContext,
        *,
        power: float = 0.0,
        weights: Sequence[float] | None = None,
        beta: float | None = None,
        defer: float = 0.0,
    ) -> None:
        super().__init__(context)
        number("defer", defer, minimum=0, maximum=1)  # also where there are no weights to defer
        given = {"power": power != 0, "weights": weights is not None, "beta": beta is not None}
        chosen = [name for name, is_given in given.items() if is_given]
        if len(chosen) > 1:
            raise HyperparameterError(f"{' and '.join(chosen)} exclude each other: give one of them")
        self.class_weights = ClassWeights(context, power, weights=weights, beta=beta, defer=defer) if chosen else None
        if self.class_weights is None or self.class_weights.defer == 0:
            self.reminded_of("begin_epoch")

    def weight(self, dtype: torch.dtype) -> torch.Tensor | None:
        """Return the (C,) class weights, or None."""
        return None if self.class_weights is None else self.class_weights(dtype)

    def begin_epoch(self, epoch: int, total: int) -> None:
        if self.class_weights is not None:
            self.class_weights.begin_epoch(epoch, total)
