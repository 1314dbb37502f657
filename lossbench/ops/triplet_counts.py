"""The active hinges of a batch's triplets as signed counts of pairs.

For anchor a, positive p and negative n, the hinge d_ap - d_an + margin is active if d_an < d_ap + margin. The sum over
active triplets is therefore

    sum_aj W_aj d_aj  +  margin * (number of active triplets)

with W_ap = k_p, the number of negatives active with p, and W_an = -q_n, the number of positives active with n. They are
integers that do not change under small moves, so the expression has the exact gradient. They are computed in three
ways:

- by comparing every positive with every negative: the fewest operators, B^3 comparisons, for small batches;
- by sorting each anchor's row once, thresholds d_ap + margin among negatives, and counting along it: B^2 log B;
- for hard mining: one maximum and one minimum per row.

A block holds the rows of some anchors, so that memory is proportional to the block and not to B^2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .sorting import sorted_rows

COMPARE_UP_TO = 64
"""Size of the largest batch whose triplets are compared one by one."""


def pair_masks(targets: Tensor, start: int = 0, stop: int | None = None) -> tuple[Tensor, Tensor]:
    """Return (R, B) masks of the positives (same class, another row) and the negatives, one row per anchor.

    Args:
        targets: (B,).
        start: first anchor.
        stop: one after the last anchor; None for all.
    """
    same = targets[start:stop].unsqueeze(1) == targets.unsqueeze(0)
    negative = ~same
    same.diagonal(start).fill_(False)
    return same, negative


def signed_counts(
    distance: Tensor, positive: Tensor, negative: Tensor, margin: float, mining: str, *, compare: bool
) -> Tensor:
    """Return the (R, B) integers W of a block of anchors, in the dtype of `distance`.

    Args:
        distance: (R, B), 0 or above.
        positive: (R, B) mask.
        negative: (R, B) mask.
        margin: margin of the hinge.
        mining: "all", "semihard" or "hard".
        compare: whether to compare triplets one by one instead of sorting.

    Example:
        >>> d = torch.tensor([[0.0, 1.0, 1.1]])
        >>> masks = torch.tensor([[False, True, False]]), torch.tensor([[False, False, True]])
        >>> signed_counts(d, *masks, 0.2, "all", compare=False)
        tensor([[ 0.,  1., -1.]])
    """
    if mining == "hard":
        return _of_the_hardest(distance, positive, negative, margin)
    semihard = mining == "semihard"
    if compare:
        return _by_comparing(distance, positive, negative, margin, semihard)
    reach = distance + margin
    if not semihard:
        return _by_sorting(distance, reach, positive, negative, positive_first=True)
    # No negative lies in an empty band: the margin is 0, or is lost in the rounding of a large distance.
    positive = positive & (reach > distance)
    within_reach = _by_sorting(distance, reach, positive, negative, positive_first=True)
    return within_reach - _by_sorting(distance, distance, positive, negative, positive_first=False)


def _by_comparing(distance: Tensor, positive: Tensor, negative: Tensor, margin: float, semihard: bool) -> Tensor:
    reach = torch.where(positive, distance + margin, -torch.inf).unsqueeze(2)
    of_negative = torch.where(negative, distance, torch.inf).unsqueeze(1)
    active = (reach - of_negative).gt_(0)  # anchor, positive, negative; as floats, which add up faster than bools
    if semihard:
        active.mul_((of_negative - distance.unsqueeze(2)).gt_(0))
    return active.sum(dim=2) - active.sum(dim=1)


def _by_sorting(
    distance: Tensor, of_positive: Tensor, positive: Tensor, negative: Tensor, *, positive_first: bool
) -> Tensor:
    """Return the number of negatives below each positive's value, and of positives above each negative's.

    `positive_first` decides whether a tie counts. Columns that are neither come last and get zero.
    """
    value = torch.where(negative, distance, torch.where(positive, of_positive, torch.inf))
    is_negative, column = _order(value, negative if positive_first else ~negative)
    if not positive_first:
        is_negative = ~is_negative
    below = is_negative.cumsum(dim=1, dtype=torch.int32)
    place = torch.arange(1, value.shape[1] + 1, dtype=torch.int32, device=value.device)
    positives = positive.sum(dim=1, keepdim=True, dtype=torch.int32)
    counts = torch.where(is_negative, place - below - positives, below)
    found = torch.empty_like(distance).scatter(1, column, counts.to(distance.dtype))
    return found.masked_fill_(~(positive | negative), 0)


def _order(value: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each row in ascending order, the flag `last`, which decides between equal values, and the column.

    The bits of a non-negative float are an integer of the same order. Flag and column replace the last bits, so that
    sorting integers sorts the values together with them: with 1,024 columns, values that agree in 41 of their 52
    binary digits are equal.
    """
    columns = value.shape[1]
    flag = 1 << (columns - 1).bit_length()
    if value.device.type == "mps":  # without float64; all of float32 fits
        bits = value.view(torch.int32).long().bitwise_left_shift(32)
    else:
        bits = value.double().view(torch.int64).bitwise_and(-2 * flag)
    column = torch.arange(columns, device=value.device)
    low = sorted_rows(bits.bitwise_or(torch.where(last, column + flag, column))).bitwise_and(2 * flag - 1)
    return low >= flag, low.bitwise_and(flag - 1)


def _of_the_hardest(distance: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    farthest = torch.where(positive, distance, -torch.inf).max(dim=1, keepdim=True)
    nearest = torch.where(negative, distance, torch.inf).min(dim=1, keepdim=True)
    hinge = farthest.values - nearest.values + margin  # -inf if one of the two is missing
    active = (hinge > 0).to(distance.dtype)
    return torch.zeros_like(distance).scatter(1, farthest.indices, active).scatter(1, nearest.indices, -active)
