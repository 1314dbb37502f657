"""Mean softmax cross-entropy with one buffer of the logits' size instead of three, where that is faster.

torch saves the log-probabilities for backward, allocates two more buffers there, and exponentiates twice. Here blocks
of rows that fit the cache are turned into the gradient while the value is computed.
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from torch import Tensor

from .with_gradient import Gradients, is_fast, with_gradient

# cross_entropy ignores rows of one label; a label that cannot occur disables this.
NEVER_A_LABEL = -sys.maxsize

IN_BLOCKS_FROM = 300_000
"""Number of logits from which blocks are faster on a CPU; below, torch's fewer operators are faster."""

IN_BLOCKS_FROM_OF_FEW_CLASSES = 12_000
"""The threshold for fewer than `FEW_CLASSES`."""

FEW_CLASSES = 16
"""Below this number of classes, torch's softmax is not vectorized."""

_BLOCK = 2**17
"""Numbers per block of rows; a block stays in the cache."""

_SMALLEST = 1e-30  # a probability whose logarithm float32 can be trusted with


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
    if weight is not None:
        return sum_of_shares(logits, targets, weight / max(len(targets), 1))
    if _is_faster_in_blocks(logits, targets):
        return with_gradient(_mean_in_blocks, _mean, logits, targets)
    return _mean(logits, targets)


def sum_of_shares(logits: Tensor, targets: Tensor, share: Tensor) -> Tensor:
    """Return the sum of s_y (logsumexp(z) - z_y), which is 0 for an empty batch.

    Args:
        logits: (B, C) unnormalised log-probabilities.
        targets: (B,) int64 class numbers in [0, C).
        share: (C,) share of a row of each class in the sum, such as its weight divided by B.
    """
    if _is_faster_in_blocks(logits, targets) and not share.requires_grad and is_fast(share):
        return with_gradient(_shares_in_blocks, _shares, logits, targets, share)
    return _shares(logits, targets, share)


def _mean(logits: Tensor, targets: Tensor) -> Tensor:
    if len(targets):
        return F.cross_entropy(logits, targets, ignore_index=NEVER_A_LABEL)
    return logits.sum()


def _shares(logits: Tensor, targets: Tensor, share: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets, weight=share, reduction="sum", ignore_index=NEVER_A_LABEL)


def _is_faster_in_blocks(logits: Tensor, targets: Tensor) -> bool:
    """Return whether to compute in blocks; thresholds: docs/performance.md."""
    threshold = IN_BLOCKS_FROM if logits.shape[1] >= FEW_CLASSES else IN_BLOCKS_FROM_OF_FEW_CLASSES
    return logits.numel() >= threshold and is_fast(logits, targets)


def _mean_in_blocks(needs: tuple[bool, ...], logits: Tensor, targets: Tensor) -> tuple[Tensor, Gradients]:
    shares = logits.new_full((), 1 / len(targets)).expand(len(targets))
    value, found = _in_blocks(logits, targets, shares, needs[0])
    return value, (found, None)


def _shares_in_blocks(
    needs: tuple[bool, ...], logits: Tensor, targets: Tensor, share: Tensor
) -> tuple[Tensor, Gradients]:
    _refuse_other_labels(logits, targets)
    value, found = _in_blocks(logits, targets, share.index_select(0, targets), needs[0])
    return value, (found, None, None)


def _in_blocks(logits: Tensor, targets: Tensor, shares: Tensor, slope: bool) -> tuple[Tensor, Tensor | None]:
    """Return the sum of s_i (logsumexp(z_i) - z_iy) for the shares s of the rows, (B,), and its gradient."""
    _refuse_other_labels(logits, targets)
    found, values = torch.empty_like(logits), []
    rows = max(1, _BLOCK // logits.shape[1])
    parts = (logits.split(rows), found.split(rows), targets.unsqueeze(1).split(rows), shares.unsqueeze(1).split(rows))
    for z, probability, true, share in zip(*parts, strict=True):
        cost, factor = _softmax_of(z, true, probability)
        values.append(torch.dot(cost.view(-1), share.view(-1)))
        if slope:
            probability.mul_(share if factor is None else share * factor).scatter_add_(1, true, -share)
    return torch.stack(values).sum(), found if slope else None


def _softmax_of(z: Tensor, true: Tensor, out: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return logsumexp(z) - z_y, (R, 1), and the factor, (R, 1), of `out` that gives the softmax; None for 1.

    Args:
        z: (R, C) logits.
        true: (R, 1) class numbers.
        out: (R, C), overwritten.
    """
    if z.shape[1] >= FEW_CLASSES:
        torch.softmax(z, dim=1, out=out)
        chosen = out.gather(1, true)
        if not (chosen.numpy() < _SMALLEST).any():
            return chosen.log_().neg_(), None
    torch.sub(z, z.amax(dim=1, keepdim=True), out=out)
    chosen = out.gather(1, true)
    sums = out.exp_().sum(dim=1, keepdim=True)
    return sums.log().sub_(chosen), sums.reciprocal_()


def _refuse_other_labels(logits: Tensor, targets: Tensor) -> None:
    """Raise torch's error for a label outside [0, C)."""
    labels = targets.numpy()
    if (wrong := (labels < 0) | (labels >= logits.shape[1])).any():
        raise IndexError(f"Target {labels[wrong][0]} is out of bounds.")
