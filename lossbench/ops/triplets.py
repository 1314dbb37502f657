"""All triplets of a batch, exactly, in O(B^2 log B) time and the memory of a block of anchors.

`triplet_counts` computes how often each pair counts, as integers W. The mean hinge and its gradient then follow from
one pass over blocks of anchors: a matrix product for the distances, W, and two products for the gradient. Neither
triplets nor B x B pairs are ever listed, and there is no host synchronization.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .distances import distances, distances_of_blocks
from .function import Function, apply
from .triplet_counts import COMPARE_UP_TO, pair_masks, signed_counts
from .unit_vectors import unit_vectors

__all__ = ["Mining", "distances", "mean_hinge", "pair_masks", "unit_vectors"]

_BLOCK = 2**17
"""Pairs per block; the buffers of a block stay in the cache."""


class Mining(NamedTuple):
    """Which triplets are summed and what the sum is divided by; see `lossbench.losses.triplet`."""

    margin: float
    mining: str
    squared: bool
    average: str


def mean_hinge(rows: Tensor, targets: Tensor, rule: Mining) -> Tensor:
    """Return the mean hinge over the triplets of a batch that a rule selects.

    Args:
        rows: (B, D), B at least 1.
        targets: (B,).
        rule: margin, mining, distance and average.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [1.1]])
        >>> mean_hinge(x, torch.tensor([0, 0, 1]), Mining(0.2, "all", False, "active"))
        tensor(0.6000)
    """
    value: Tensor
    if torch.compiler.is_compiling():  # one operator, because the loop over blocks would be unrolled into the graph
        value, _ = _compiled_mean_hinge(rows, targets, *rule)
        return value
    if torch.is_grad_enabled() and rows.requires_grad:
        value, _ = apply(_MeanHinge, rows, targets, *rule)
        return value
    return _evaluate(rows, targets, rule, slope=False)[0]


class _MeanHinge(Function):
    """The value and its gradient as outputs, so that second derivatives flow through the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, targets: Tensor, *rule: Any) -> tuple[Tensor, Tensor]:
        return _evaluate(rows, targets, Mining(*rule), slope=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        rows, targets, *rule = inputs
        ctx.save_for_backward(rows, targets, output[1])
        ctx.rule = rule
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, direction: Tensor | None) -> tuple[Tensor | None, ...]:
        rows, targets, slope = ctx.saved_tensors
        found = None if gradient is None else gradient * slope
        if direction is not None:
            bend = apply(_Curvature, direction, rows, targets, *ctx.rule)
            found = bend if found is None else found + bend
        return found, None, *(None for _ in ctx.rule)


class _Curvature(Function):
    """The second derivative times a direction; torch refuses a third derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(direction: Tensor, rows: Tensor, targets: Tensor, *rule: Any) -> Tensor:
        return _evaluate(rows, targets, Mining(*rule), slope=True, direction=direction)[1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise RuntimeError("the triplet loss has no third derivative")


@torch.library.custom_op("lossbench::mean_hinge", mutates_args=())
def _compiled_mean_hinge(
    rows: Tensor, targets: Tensor, margin: float, mining: str, squared: bool, average: str
) -> tuple[Tensor, Tensor]:
    return _evaluate(rows, targets, Mining(margin, mining, squared, average), slope=True)


@_compiled_mean_hinge.register_fake
def _(rows: Tensor, targets: Tensor, *rule: Any) -> tuple[Tensor, Tensor]:
    return rows.new_empty(()), torch.empty_like(rows)


def _save_slope(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])


def _times_slope(ctx: Any, gradient: Tensor, of_slope: Tensor) -> tuple[Tensor | None, ...]:
    (slope,) = ctx.saved_tensors
    return gradient * slope, *(None for _ in range(5))  # torch refuses a second derivative of a compiled graph


_compiled_mean_hinge.register_autograd(_times_slope, setup_context=_save_slope)


def _evaluate(
    rows: Tensor, targets: Tensor, rule: Mining, *, slope: bool, direction: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the value and its gradient in the rows or, with a direction, the derivative of the gradient along it."""
    batch = len(rows)
    between = distances_of_blocks(rows, squared=rule.squared, by_product=batch * rows.numel() > _BLOCK)
    centered = rows - rows.mean(dim=0)  # does not change the gradient, and reduces cancellation
    pulls = _Pulls(centered if direction is None else direction)
    turns = _Pulls(centered)  # change of the distances along the direction
    totals, actives, divisors = [], [], []
    in_block = max(1, _BLOCK // batch)
    for start in range(0, batch, in_block):
        anchors = slice(start, min(start + in_block, batch))
        length = between(anchors)
        positive, negative = pair_masks(targets, start, anchors.stop)
        compare = batch <= COMPARE_UP_TO
        near = length.to(rows.dtype) if compare else length  # with few comparisons, few round to the other side
        count = signed_counts(near, positive, negative, rule.margin, rule.mining, compare=compare).to(rows.dtype)
        totals.append((length * count).sum())
        actives.append(count.clamp(min=0).sum(dtype=_wide(rows)))
        if rule.average == "all" and rule.mining != "semihard":
            divisors.append(_kept(positive, negative, rule.mining, _wide(rows)))
        if slope:
            weight = count if rule.squared else torch.where(length > 0, count / length, 0).to(rows.dtype)
            pulls.add(anchors, weight)
            if direction is not None and not rule.squared:
                turns.add(anchors, weight * _stretch(centered, direction, anchors, length))
    active = _summed(actives)
    divisor = (_summed(divisors) if divisors else active).clamp(min=1)
    value = (torch.add(_summed(totals), active, alpha=rule.margin) / divisor).to(rows.dtype)
    if not slope:
        return value, value
    found = pulls.sum() if direction is None or rule.squared else pulls.sum() - turns.sum()
    return value, found / (divisor / 2 if rule.squared else divisor)


def _wide(rows: Tensor) -> torch.dtype:
    """Return the dtype for sums of counts: float64, exact below 2^53, if the device has it."""
    return rows.dtype if rows.device.type == "mps" else torch.float64


def _summed(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum()


def _kept(positive: Tensor, negative: Tensor, mining: str, dtype: torch.dtype) -> Tensor:
    """Return the number of triplets that mining selects in a block; for "hard", one per anchor that has both."""
    positives, negatives = positive.sum(dim=1, dtype=dtype), negative.sum(dim=1, dtype=dtype)
    if mining == "hard":
        positives, negatives = positives.clamp(max=1), negatives.clamp(max=1)
    return (positives * negatives).sum()


def _stretch(rows: Tensor, direction: Tensor, anchors: slice, length: Tensor) -> Tensor:
    """Return the (R, B) relative change of each distance along a direction; 0 for a distance of 0."""
    dots = (rows * direction).sum(dim=1)
    grown = dots[anchors].unsqueeze(1) + dots
    grown.addmm_(rows[anchors], direction.T, alpha=-1).addmm_(direction[anchors], rows.T, alpha=-1)
    return torch.where(length > 0, grown / length.square(), 0).to(rows.dtype)


class _Pulls:
    """Adds weight_aj (x_a - x_j) over pairs to row a, and its negative to row j.

    That is the gradient of weight_aj |x_a - x_j|^2 / 2. Products are in place, because autocast ignores those.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self.found: Tensor | None = None

    def add(self, anchors: slice, weight: Tensor) -> None:
        if len(weight) == len(self.rows):
            both = weight + weight.T
            self.found = (both.sum(dim=1, keepdim=True) * self.rows).addmm_(both, self.rows, alpha=-1)
            return
        if self.found is None:
            self.found = torch.zeros_like(self.rows)
        self.found.addmm_(weight.T, self.rows[anchors], alpha=-1)
        self.found.addcmul_(weight.sum(dim=0).unsqueeze(1), self.rows)
        own = (weight.sum(dim=1, keepdim=True) * self.rows[anchors]).addmm_(weight, self.rows, alpha=-1)
        self.found[anchors] += own

    def sum(self) -> Tensor:
        assert self.found is not None
        return self.found
