"""The base class of every loss."""

from __future__ import annotations

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .errors import UsageError
from .traits import Homogeneity, Trait
from .types import ModelOutput

REMIND_AFTER = 10
_HOOKS = {
    "update_state": "its state has not moved: call loss.update_state(output, targets) after each optimizer step",
    "begin_epoch": "its schedule has not begun: call loss.begin_epoch(epoch, epochs) before each epoch",
}


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
        traits: properties of this instance, by which the laws judge it.
        homogeneity: how its value scales with the embeddings, if known.
        upper_bound: an upper bound of its value, if there is one.
        lower_bound: a lower bound of its value; None if there is none.
        label: its name and distribution for messages; `create_loss` sets it.
        primary: position in `terms()` of the term that defines the scores.
        takes_soft_targets: whether targets may be (B, C) probabilities instead of (B,) class numbers.
        reminds: whether it warns once if training batches pass and `update_state` or `begin_epoch` is never called.
    """

    label: str = ""
    primary: int = 0
    traits: frozenset[Trait] = frozenset()
    homogeneity: Homogeneity | None = None
    upper_bound: float | None = None
    takes_soft_targets: bool = False
    reminds: bool = True
    lower_bound: float | None = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._batches_seen = 0
        self._never_called = {name for name in _HOOKS if getattr(type(self), name) is not getattr(Loss, name)}
        if self._never_called and self.reminds:
            self.register_forward_pre_hook(_remind)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _HOOKS:
            if name in vars(cls):
                setattr(cls, name, _noting(vars(cls)[name], name))

    @property
    def _name(self) -> str:
        """The registry name, or the name of the class for a loss that was not made by `create_loss`."""
        return self.label.partition(" of ")[0] or type(self).__name__

    @abstractmethod
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        """Return the value for one batch, a scalar connected to the graph. Pure: it changes nothing.

        Args:
            output: embeddings (B, D) and logits (B, C).
            targets: (B,) int64 in [0, C), or (B, C) probabilities if `takes_soft_targets`.
        """

    def per_sample(self, output: Any, targets: Tensor) -> Tensor:
        """Return the (B,) values of the rows, whose mean is the loss; for sample weights, take a mean of your own.

        Args:
            output: as in a call of the loss.
            targets: as in a call of the loss.

        Raises:
            UsageError: the value is not a mean over rows.
        """
        if Trait.SAMPLEWISE not in self.traits:
            raise UsageError(f"{self._name} has no value per sample: it is not a mean over the rows of a batch")
        rows = [ModelOutput(output.embeddings[i : i + 1], output.logits[i : i + 1]) for i in range(targets.shape[0])]
        values = [self(row, targets[i : i + 1]) for i, row in enumerate(rows)]
        return torch.stack(values) if values else output.logits.sum(dim=1)

    def scores(self, output: ModelOutput) -> Tensor:
        """Return (B, C) scores as trained: they are argmax-ed, stored and calibrated."""
        return output.logits

    def begin_epoch(self, epoch: int, total: int) -> None:
        """Start epoch `epoch` of `total`, counted from 0: the place for schedules."""

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        """Move buffers. Called once after each optimizer step, with the detached outputs of the step.

        A loss whose buffers depend on the batch must sum over ranks with `lossbench.distributed.sum_over_ranks`.
        """

    def reset_parameters(self) -> None:
        """Initialize parameters and buffers; called when the loss leaves the meta device, as by `to_empty`."""

    def terms(self) -> tuple[WeightedTerm, ...]:
        """Return the terms of the objective; a loss that is not a sum is its own only term."""
        return (WeightedTerm(self._name, 1.0, self),)

    def param_groups(self) -> list[dict[str, Any]]:
        """Return groups for the optimizer: params, weight_decay, and lr_scale relative to the run's learning rate."""
        params = list(self.parameters())
        return [{"params": params, "weight_decay": 0.0, "lr_scale": 1.0}] if params else []

    def without_reminders(self) -> Loss:
        """Disable the warnings of `reminds` here and in all terms, and return the loss."""
        for module in self.modules():
            if isinstance(module, Loss):
                module.reminds = False
        return self

    def reminded_of(self, hook: str) -> None:
        """Disable the warning about a hook, because something else calls it."""
        self._never_called = self._never_called - {hook}
        if not self._never_called:  # a module without hooks is called faster
            for key in [key for key, each in self._forward_pre_hooks.items() if each is _remind]:
                del self._forward_pre_hooks[key]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Loss:
        was_meta = self._is_meta()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if was_meta and not self._is_meta():
            self.reset_parameters()
        return self

    def _is_meta(self) -> bool:
        return any(t.is_meta for t in (*self._parameters.values(), *self._buffers.values()) if t is not None)


def _noting(hook: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the hook of a subclass, noting that it was called."""

    @functools.wraps(hook)
    def noted(self: Loss, *arguments: Any, **named: Any) -> Any:
        self._never_called = self._never_called - {name}
        return hook(self, *arguments, **named)

    return noted


def _remind(loss: Loss, arguments: tuple[Any, ...]) -> None:
    """Warn once after some training batches if a hook that the loss needs was never called."""
    if torch.compiler.is_compiling() or not (loss.reminds and loss._never_called and loss.training):
        return
    tensors = arguments[0] if arguments and isinstance(arguments[0], tuple) else arguments
    if not torch.is_grad_enabled() or not any(isinstance(t, Tensor) and t.requires_grad for t in tensors):
        return
    loss._batches_seen += 1
    if loss._batches_seen == REMIND_AFTER:
        loss.reminds = False
        for name in sorted(loss._never_called):
            warnings.warn(
                f"{loss._name} has seen {REMIND_AFTER} training batches and {name} was never called, so "
                f"{_HOOKS[name]}, or let lossbench.attach do it",
                stacklevel=2,
            )
