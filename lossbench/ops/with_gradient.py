"""Values whose gradient is computed together with them, in one autograd node.

For small batches most of the time of a loss is spent on dispatching operators and on nodes of the autograd graph, not
on arithmetic. A fast path computes value and gradients from tensors without a graph; where it does not apply, the
formula itself is evaluated, which also gives second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .function import apply, may_write_in_place

Gradients = tuple[Tensor | None, ...]


def is_fast(*inputs: Tensor) -> bool:
    """Return whether a fast path may be used: in eager mode, for plain tensors on the CPU.

    On the CPU a fast path may depend on values of its inputs, because reading them waits for nothing.
    """
    return all(type(each) is Tensor and each.is_cpu for each in inputs) and may_write_in_place()


def with_gradient(
    fast: Callable[..., tuple[Tensor, Gradients]], formula: Callable[..., Tensor], *inputs: Tensor
) -> Tensor:
    """Return the value of `fast`, whose derivative is `fast`'s gradients.

    Args:
        fast: function from (needs, *inputs) to the value, (), and a new tensor for each input that needs a gradient;
            `needs` has a bool per input, and the gradients are not computed if none is needed.
        formula: function from the inputs to the same value by differentiable operators. It is evaluated for second
            derivatives, and if a graph is differentiated again, because the first backward scales the gradients in
            place.
        inputs: tensors.
    """
    value: Tensor
    if not (torch.is_grad_enabled() and any(each.requires_grad for each in inputs)):
        value, _ = fast((False,) * len(inputs), *inputs)
    else:
        value = apply(_WithGradient, fast, formula, *inputs)
    return value


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fast: Any, formula: Any, *inputs: Tensor) -> Tensor:
        ctx.formula = formula
        ctx.save_for_backward(*inputs)
        value: Tensor
        value, ctx.gradients = fast(ctx.needs_input_grad[2:], *inputs)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        if ctx.gradients is None or torch.is_grad_enabled():
            return None, None, *_of_formula(ctx, gradient)
        gradients, ctx.gradients = ctx.gradients, None
        if gradient.numpy() != 1:
            for each in gradients:
                if each is not None:
                    each.mul_(gradient)
        return None, None, *gradients


def _of_formula(ctx: Any, gradient: Tensor) -> list[Tensor | None]:
    again = torch.is_grad_enabled()
    inputs: tuple[Tensor, ...] = ctx.saved_tensors
    wanted = [each for each, needed in zip(inputs, ctx.needs_input_grad[2:], strict=True) if needed]
    with torch.enable_grad():
        value = ctx.formula(*inputs)
        found = iter(torch.autograd.grad(value, wanted, gradient, create_graph=again, allow_unused=True))
    return [next(found) if needed else None for needed in ctx.needs_input_grad[2:]]
