"""One loss on one batch: what a law asks of it, and the comparisons that decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..loss import Loss
from ..types import ModelOutput
from .cases import Case
from .configuration import Configuration
from .violation import Violation

HALF_PRECISIONS = (torch.bfloat16, torch.float16)


def with_tensors(output: ModelOutput, tensors: Mapping[str, Tensor]) -> ModelOutput:
    """`output` with the named tensors in place of its own."""
    return ModelOutput(
        tensors.get("embeddings", output.embeddings), tensors.get("logits", output.logits), output.extras
    )


class Trial:
    """A configuration on a case. Everything is built again from both, so a law may change its objects.

    Args:
        configuration: the loss.
        case: the batch.
        deep: whether time matters less than finding more.
        failed: laws that the configuration breaks on ordinary batches, which need not be judged on others.
    """

    def __init__(
        self, configuration: Configuration, case: Case, *, deep: bool = False, failed: frozenset[str] = frozenset()
    ) -> None:
        self.configuration, self.case, self.deep = configuration, case, deep
        self.failed = failed
        self.excuses: list[str] = []

    def excuse(self, reason: str) -> None:
        """Note why a violation on this batch does not count; the law is then skipped for this reason, not passed."""
        if reason not in self.excuses:
            self.excuses.append(reason)

    @property
    def reads(self) -> tuple[str, ...]:
        """Which of "logits" and "embeddings" the loss reads."""
        return self.configuration.reads

    @property
    def targets(self) -> Tensor:
        """(B,) labels."""
        return self.case.labels()

    @cached_property
    def loss(self) -> Loss:
        """The loss in the precision that it is judged in, for laws that do not change it."""
        return self.build()

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the loss is judged in: float64, or float32 if it cannot compute in float64."""
        return self.configuration.dtype

    def build(
        self, dtype: torch.dtype | None = None, case: Case | None = None, *, seed: int = 0, **changes: Any
    ) -> Loss:
        """Return a new instance for the trial's task, or for the task of `case` with another seed."""
        context = (case or self.case).context
        return self.configuration.build(replace(context, seed=seed) if seed else context, dtype, **changes)

    def output(self, dtype: torch.dtype | None = None, case: Case | None = None) -> ModelOutput:
        """Return the batch of the trial, or `case`, as the loss reads it."""
        return self.configuration.output(case or self.case, dtype)

    def changed(self, output: ModelOutput, change: Callable[[Tensor], Tensor], *names: str) -> ModelOutput:
        """`output` with `change` applied to the named tensors, or to all that the loss reads."""
        return with_tensors(output, {name: change(getattr(output, name)) for name in names or self.reads})

    def gradients(
        self, loss: Loss, output: ModelOutput, targets: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The value and its gradient in each tensor that the loss reads."""
        leaves = {name: getattr(output, name).detach().clone().requires_grad_() for name in self.reads}
        value = loss(with_tensors(output, leaves), targets)
        if not value.requires_grad:
            raise Violation(f"the value is not connected to {' or '.join(self.reads)}: it has no gradient")
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, create_graph=create_graph)
        zeros = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        return value.detach(), {
            name: zeros[name] if gradient is None else gradient for name, gradient in zip(leaves, found, strict=True)
        }

    def states(self, loss: Loss) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return {**dict(loss.named_parameters()), **dict(loss.named_buffers())}

    def move_state(self, loss: Loss, axis: str, change: Callable[[Tensor, int], Tensor]) -> None:
        """Apply `change(tensor, dimension)` to each state, once for each of its axes of that name."""
        states = self.states(loss)
        with torch.no_grad():
            for name, axes in self.configuration.state_axes.items():
                for dimension in (d for d, each in enumerate(axes) if each == axis):
                    states[name].copy_(change(states[name], dimension))

    @property
    def rounding(self) -> float:
        """The relative error that the precision of the loss explains: 0 in float64."""
        return 2e-4 if self.dtype is torch.float32 else 0.0

    def same(self, what: str, found: Tensor, expected: Tensor, tolerance: float = 1e-9, scale: float = 0.0) -> None:
        """Requires equality up to `tolerance` relative to the largest entry of either, or to `scale`.

        Raises:
            Violation: with both values.
        """
        if found.shape != expected.shape:
            raise Violation(f"{what}: shape {tuple(found.shape)} against {tuple(expected.shape)}")
        if not found.numel() or bool(found.isnan().logical_and(expected.isnan()).all()):
            return  # that neither is a number is the matter of the laws of finiteness
        tolerance = max(tolerance, self.rounding)
        size = max(float(found.abs().max()), float(expected.abs().max()), scale, 1e-3)
        difference = float((found.double() - expected.double()).abs().max())
        if not difference <= tolerance * size:
            raise Violation(f"{what}: {_shown(found)} against {_shown(expected)}")

    def same_state(self, what: str, found: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
        """`same` for a state, in which NaN marks what has not started: the marks have to be the same."""
        self.same(f"{what}, where it has started", 1 - found.isnan().double(), 1 - expected.isnan().double())
        self.same(what, found.nan_to_num(), expected.nan_to_num(), tolerance)

    def same_states(self, found: Loss, expected: Loss, what: str = "after a step", tolerance: float = 1e-8) -> None:
        """`same_state` for every floating-point tensor that `expected` saves."""
        held = self.states(expected)
        for name, tensor in self.states(found).items():
            if name in expected.state_dict() and tensor.is_floating_point():
                self.same_state(f"{name} {what}", tensor, held[name], tolerance)

    def same_gradients(
        self, what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float = 1e-8
    ) -> None:
        """`same` for the gradient in each tensor that the loss reads."""
        for name in self.reads:
            self.same(f"{what}, gradient in {name}", found[name], expected[name], tolerance)

    def finite(self, what: str, value: Tensor) -> None:
        """Requires numbers that are neither NaN nor infinite."""
        if not bool(value.isfinite().all()):
            raise Violation(f"{what} is {_shown(value)}, expected finite numbers")


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same numbers, whatever their types."""
    one, other = one.detach(), other.detach()
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=0, atol=0, equal_nan=True)


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a type without the "torch." in front."""
    return str(dtype).removeprefix("torch.")


def _shown(value: Tensor) -> str:
    """Numbers with as many digits as tell them apart; the first few of many."""
    flat = value.detach().flatten().double().tolist()
    shown = ", ".join(f"{number:.10g}" for number in flat[:12]) + (", …" if len(flat) > 12 else "")
    return f"[{shown}]" if value.ndim else shown
