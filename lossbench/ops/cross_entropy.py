"""Mean softmax cross-entropy with one buffer of the logits' size instead of three, where that is faster.

torch keeps the log-probabilities for backward, and makes two more buffers there. Here a block of rows at a time is
computed in the cache: in forward for the sums of its rows, and in backward again for the gradient, which alone is kept.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .function import may_write_in_place

# cross_entropy drops rows of one label; a label that can't occur turns that off.
NEVER_A_LABEL = -sys.maxsize

BLOCKWISE_FROM = 300_000
"""Logits from which one buffer is faster on a CPU; below, torch's fewer operators are."""

BLOCKWISE_FROM_OF_FEW_CLASSES = 8_000
"""The same for fewer than 16 classes, over which torch's log_softmax is not vectorised."""

_BLOCK = 2**18
"""Numbers in a block of rows, which stays in the cache."""


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None, *, reduction: str = "none") -> Tensor:
    """w_y (logsumexp(z) - z_y) of each row, or its mean over the rows, which is 0 without rows.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) int64 class numbers in [0, C).
        weight: (C,) of the classes; 1 if None.
        reduction: "none" or "mean".

    Example:
        >>> cross_entropy(torch.zeros(2, 2), torch.tensor([0, 1]), reduction="mean")
        tensor(0.6931)
    """
    if reduction == "none":
        return F.cross_entropy(logits, targets, weight=weight, reduction="none", ignore_index=NEVER_A_LABEL)
    if _blockwise_is_faster(logits, weight):
        value: Tensor = _Blockwise.apply(logits, targets, weight)
        return value
    if weight is None and len(targets):
        return F.cross_entropy(logits, targets, ignore_index=NEVER_A_LABEL)
    share = None if weight is None else weight / max(len(targets), 1)
    return F.cross_entropy(logits, targets, weight=share, reduction="sum", ignore_index=NEVER_A_LABEL)


def _blockwise_is_faster(logits: Tensor, weight: Tensor | None) -> bool:
    """Measured on a CPU (docs/performance.md). Transforms of `torch.func` and the compiler get torch's operators."""
    return (
        logits.numel() >= (BLOCKWISE_FROM if logits.shape[1] >= 16 else BLOCKWISE_FROM_OF_FEW_CLASSES)
        and logits.device.type == "cpu"
        and torch.is_grad_enabled()
        and logits.requires_grad
        and not (weight is not None and weight.requires_grad)
        and may_write_in_place()
    )


class _Blockwise(torch.autograd.Function):
    """Only the logarithm of each row's sum is kept. Blocks write in place, which no transform of `torch.func` may."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
        totals, log_sums = [], []
        rows = _rows_of_a_block(logits)
        shifted = logits.new_empty(min(rows, len(logits)), logits.shape[1])
        for z, y in zip(logits.split(rows), targets.split(rows), strict=True):
            largest = z.amax(dim=1, keepdim=True)
            block = torch.sub(z, largest, out=shifted[: len(z)])
            total = F.nll_loss(block, y, weight, reduction="sum", ignore_index=NEVER_A_LABEL)
            log_sum = block.exp_().sum(dim=1).log_()
            totals.append(total + (log_sum.sum() if weight is None else log_sum.dot(weight.index_select(0, y))))
            log_sums.append(largest.add_(log_sum.unsqueeze(1)))
        ctx.save_for_backward(logits, targets, weight, torch.cat(log_sums))
        mean: Tensor = torch.stack(totals).sum() / len(targets)
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, weight, log_sums = ctx.saved_tensors
        share = gradient / len(targets)
        share = share.expand(len(targets)) if weight is None else share * weight.index_select(0, targets)
        share, true = share.unsqueeze(1), targets.unsqueeze(1)
        if torch.is_grad_enabled():  # differentiable, for a second derivative
            return share * (logits.softmax(dim=1) - torch.zeros_like(logits).scatter(1, true, 1)), None, None
        slope = torch.empty_like(logits, memory_format=torch.contiguous_format)
        rows = _rows_of_a_block(logits)
        for z, out, *of_rows in zip(*(t.split(rows) for t in (logits, slope, log_sums, share, true)), strict=True):
            log_sum, a, y = of_rows
            torch.sub(z, log_sum, out=out).exp_().mul_(a).scatter_add_(1, y, -a)
        return slope, None, None


def _rows_of_a_block(logits: Tensor) -> int:
    return max(1, _BLOCK // logits.shape[1])
