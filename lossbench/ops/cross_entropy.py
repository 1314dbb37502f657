"""Mean softmax cross-entropy with one buffer of the logits' size instead of three, where that is faster.

torch saves the log-probabilities for backward, allocates two more buffers there, and exponentiates twice. Here
exp(z - max) is saved and turned into the gradient in place.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .function import may_write_in_place

# cross_entropy ignores rows of one label; a label that cannot occur disables this.
NEVER_A_LABEL = -sys.maxsize

IN_PLACE_FROM = 300_000
"""Number of logits from which one buffer is faster on a CPU; below, torch's fewer operators are faster."""

IN_PLACE_FROM_OF_FEW_CLASSES = 8_000
"""The threshold for fewer than 16 classes, for which torch's log_softmax is not vectorized."""

_BLOCK = 2**17
"""Numbers per block of rows; a block stays in the cache."""


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None, *, reduction: str = "none") -> Tensor:
    """Return w_y (logsumexp(z) - z_y) for each row, or the mean over the rows, which is 0 for an empty batch.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) int64 class numbers in [0, C).
        weight: (C,) class weights; None for 1.
        reduction: "none" or "mean".

    Example:
        >>> cross_entropy(torch.zeros(2, 2), torch.tensor([0, 1]), reduction="mean")
        tensor(0.6931)
    """
    if reduction == "none":
        return F.cross_entropy(logits, targets, weight=weight, reduction="none", ignore_index=NEVER_A_LABEL)
    if _in_place_is_faster(logits, weight):
        value: Tensor = _InPlace.apply(logits, targets, weight)
        return value
    if weight is None and len(targets):
        return F.cross_entropy(logits, targets, ignore_index=NEVER_A_LABEL)
    share = None if weight is None else weight / max(len(targets), 1)
    return F.cross_entropy(logits, targets, weight=share, reduction="sum", ignore_index=NEVER_A_LABEL)


def _in_place_is_faster(logits: Tensor, weight: Tensor | None) -> bool:
    """Return whether to use one buffer (thresholds: docs/performance.md); `torch.func` and the compiler get torch's."""
    return (
        logits.numel() >= (IN_PLACE_FROM if logits.shape[1] >= 16 else IN_PLACE_FROM_OF_FEW_CLASSES)
        and logits.device.type == "cpu"
        and torch.is_grad_enabled()
        and logits.requires_grad
        and not (weight is not None and weight.requires_grad)
        and may_write_in_place()
    )


class _InPlace(torch.autograd.Function):
    """The first backward overwrites exp(z - max); a second one computes it again.

    Not used under transforms of `torch.func`, so saved tensors need not be outputs.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
        ctx.save_for_backward(logits, targets, weight)
        ctx.kept, total = _exponentials(logits, targets, weight)
        log_sums = ctx.kept[1].log().squeeze(1)
        total = total + (log_sums.sum() if weight is None else log_sums.dot(weight.index_select(0, targets)))
        mean: Tensor = total / len(targets)
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, weight = ctx.saved_tensors
        share = gradient / len(targets)
        share = share.expand(len(targets)) if weight is None else share * weight.index_select(0, targets)
        share, true = share.unsqueeze(1), targets.unsqueeze(1)
        if torch.is_grad_enabled():  # differentiable, for a second derivative
            return share * (logits.softmax(dim=1) - torch.zeros_like(logits).scatter(1, true, 1)), None, None
        (found, sums), ctx.kept = ctx.kept or _exponentials(logits, targets, weight)[0], None
        return found.mul_(share / sums).scatter_add_(1, true, -share), None, None


def _exponentials(logits: Tensor, targets: Tensor, weight: Tensor | None) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return exp(z - max), (B, C), with its row sums, (B, 1), and the sum of w_y (max - z_y), ()."""
    found, sums, totals = torch.empty_like(logits), [], []
    rows = max(1, _BLOCK // logits.shape[1])
    for z, out, y in zip(logits.split(rows), found.split(rows), targets.split(rows), strict=True):
        torch.sub(z, z.amax(dim=1, keepdim=True), out=out)
        totals.append(F.nll_loss(out, y, weight, reduction="sum", ignore_index=NEVER_A_LABEL))
        sums.append(out.exp_().sum(dim=1, keepdim=True))
    return (found, torch.cat(sums)), torch.stack(totals).sum()
