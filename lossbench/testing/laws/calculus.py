"""Calculus: derivatives are those of the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck

from ...loss import Loss
from ...traits import Trait
from ...types import ModelOutput
from ..configuration import Configuration
from ..law import Group, law
from ..trial import Trial, with_tensors
from ..violation import Violation

GROUP: Group = "Calculus"
_RADIUS = 2e-5  # of the finite differences below, with room: no kink may lie within


def _of_inputs(trial: Trial) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """The value as a function of the tensors that the loss reads, and where it is judged."""
    output, targets = trial.output(), trial.targets

    def value(*tensors: Tensor) -> Tensor:
        found: Tensor = trial.loss(with_tensors(output, dict(zip(trial.reads, tensors, strict=True))), targets)
        return found

    return value, tuple(getattr(output, name).clone().requires_grad_() for name in trial.reads)


def _differs(check: Callable[..., Any], function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    try:
        check(function, inputs, eps=1e-6, atol=1e-6, rtol=1e-4, nondet_tol=1e-12)
    except GradcheckError as error:
        raise Violation(" ".join(str(error).split())[:600]) from error


@law(GROUP, owed=True, off_kinks=_RADIUS, share=0.5, excused=Trait.STOP_GRADIENT)
def gradient_of_inputs(trial: Trial) -> None:
    """The gradient in logits and embeddings is the derivative of the value, by central differences in float64.

    Remedy: look for `.detach()`, `.item()`, `.data` or `no_grad` on a path from the inputs to the value; where the
    definition holds a factor fixed in backward, declare stop-gradient.
    """
    _differs(gradcheck, *_of_inputs(trial))


def _differentiable_state(loss: Loss) -> list[str]:
    """Return the names of the saved tensors of floating-point type that hold numbers."""
    held = {**dict(loss.named_parameters()), **dict(loss.named_buffers())}
    saved = (name for name in loss.state_dict() if name in held and held[name].is_floating_point())
    return [name for name in saved if bool(held[name].isfinite().all())]


def _no_state(configuration: Configuration) -> str | None:
    loss = configuration.specimen
    if _differentiable_state(loss):
        return None
    has_numbers = any(tensor.is_floating_point() for tensor in loss.state_dict().values())
    return "its state has not started" if has_numbers else "it has no state"


@law(GROUP, off_kinks=_RADIUS, share=0.5, excused=Trait.STOP_GRADIENT, unless=_no_state)
def gradient_of_state(trial: Trial) -> None:
    """The gradient in parameters, centers and proxies is the derivative of the value.

    Remedy: as for the inputs; state that moves by a rule of its own is differentiable all the same.
    """
    loss, output, targets = trial.loss, trial.output(), trial.targets
    names, states = _differentiable_state(loss), trial.states(loss)

    def value(*tensors: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(loss, dict(zip(names, tensors, strict=True)), (output, targets))
        return found

    _differs(gradcheck, value, tuple(states[name].detach().clone().requires_grad_() for name in names))


@law(GROUP, trait=Trait.TWICE_DIFFERENTIABLE, off_kinks=_RADIUS, share=0.2)
def second_derivative(trial: Trial) -> None:
    """The derivative of the gradient is right as well (trait twice-differentiable).

    Remedy: give a custom `autograd.Function` a differentiable backward, or do not declare the trait.
    """
    _differs(gradgradcheck, *_of_inputs(trial))


@law(GROUP, off_kinks=1e-6)
def functional_gradient(trial: Trial) -> None:
    """`torch.func.grad` gives what autograd gives.

    Remedy: give a custom `autograd.Function` a `setup_context`; avoid in-place writes and `.data` in forward.
    """
    value, inputs = _of_inputs(trial)
    leaves = [tensor.detach() for tensor in inputs]
    found = torch.func.grad(value, argnums=tuple(range(len(leaves))))(*leaves)
    _, expected = trial.gradients(trial.loss, trial.output(), trial.targets)
    trial.same_gradients("torch.func.grad against autograd", dict(zip(trial.reads, found, strict=True)), expected)


@law(GROUP, trait=Trait.VMAP)
def vectorised_map(trial: Trial) -> None:
    """`torch.func.vmap` over several batches gives the stack of their values (trait vmap).

    Remedy: do not branch on values or write in place in forward, or do not declare the trait.
    """
    loss, output, targets = trial.loss, trial.output(), trial.targets
    labels = torch.stack([targets, targets.flip(0), targets.roll(1)])
    batches = [torch.stack([t, 2 * t, -t]) for t in (output.embeddings, output.logits)]

    def value_of(embeddings: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = loss(ModelOutput(embeddings, logits), targets)
        return found

    expected = torch.stack([value_of(batches[0][i], batches[1][i], labels[i]) for i in range(3)])
    trial.same("vmap against a loop", torch.func.vmap(value_of)(batches[0], batches[1], labels), expected)
