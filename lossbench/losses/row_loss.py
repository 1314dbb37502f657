"""The base of losses that are a mean over the rows of a batch: checks, the mean, clear errors."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from ..loss import Loss
from ..traits import MEAN_OF_ROWS
from ..types import LossContext, ModelOutput
from .arguments import SOFT_REMEDY, check_target_range, is_soft, values_are_readable


class RowLoss(Loss):
    """Mean over the batch of what each row costs.

    A subclass reads the logits (`LogitLoss`) or the embeddings (`EmbeddingLoss`). One that defines `per_sample` is
    complete; one whose value is not the mean of that overrides `value` and states its own traits.
    An empty batch gives a zero connected to the graph.

    Args:
        context: supplies the number of classes.
    """

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes = context.num_classes

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "per_sample" in vars(cls):
            cls.per_sample = _checked(vars(cls)["per_sample"])  # type: ignore[method-assign]

    @abstractmethod
    def inputs(self, output: ModelOutput, targets: Tensor) -> Tensor:
        """Return what the loss reads, in float32 or float64, after checking it and the targets."""

    def per_sample(self, inputs: Any, targets: Tensor) -> Tensor:
        """Return the (B,) losses of the rows.

        Authors define it for checked inputs; users call it with a model's output, which is checked first.

        Args:
            inputs: (B, C) logits or (B, D) embeddings in float32 or float64.
            targets: (B,) int64; a label outside [0, C) may raise an IndexError or RuntimeError, which is translated.
        """
        return super().per_sample(inputs, targets)

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, (); the arguments are those of `per_sample`."""
        return self._rows(inputs, targets).sum() / max(targets.shape[0], 1)

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        if is_soft(targets):
            return self.soft_rows(output, targets).sum() / max(targets.shape[0], 1)
        return self.translated(self.value, self.inputs(output, targets), targets)

    def soft_rows(self, output: Any, targets: Tensor) -> Tensor:
        """Return the (B,) losses of the rows under (B, C) probabilities; here a loss without a meaning for them.

        Raises:
            UsageError: naming the loss.
        """
        raise UsageError(
            f"{self._name} takes no soft targets: it reads class numbers of shape ({targets.shape[0]},), and got "
            f"probabilities of shape {tuple(targets.shape)}; {SOFT_REMEDY}"
        )

    def translated(self, function: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """Call a function with inputs and int64 targets; an error that comes from a wrong label names the label."""
        targets = targets if targets.dtype is torch.int64 else targets.long()
        try:
            return function(inputs, targets)
        except (IndexError, RuntimeError):
            if values_are_readable(targets):
                check_target_range(targets, self.num_classes)
            raise

    def _has_rows_of(self, parent: type[RowLoss]) -> bool:
        """Return whether no subclass has redefined the `per_sample` of a class, so that its fast path applies."""
        return type(self).per_sample is parent.per_sample

    def _rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Call `per_sample` of the subclass without checking again."""
        own = getattr(type(self).per_sample, "__wrapped__", type(self).per_sample)
        rows: Tensor = own(self, inputs, targets)
        return rows


def _checked(own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return an author's `per_sample` for users: it takes what a call of the loss takes."""

    @functools.wraps(own)
    def per_sample(self: RowLoss, output: Any, targets: Tensor) -> Tensor:
        if is_soft(targets):
            return self.soft_rows(output, targets)
        return self.translated(functools.partial(own, self), self.inputs(output, targets), targets)

    return per_sample
