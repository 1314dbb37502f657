"""All triplets of a batch in O(B^2 log B) time and O(B^2) memory, by counting instead of listing them.

For one anchor a with distances d, a positive p and a negative n give the hinge d_p - d_n + margin, which is active
when d_n < d_p + margin. The sum over active triplets is therefore

    sum_p k_p d_p  -  sum_n q_n d_n  +  margin * (number of active triplets)

with k_p the negatives active with p and q_n the positives active with n. Both are found by binary search in sorted
rows. They are integers that don't change under small moves, so this expression has the exact gradient as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class HingeSum(NamedTuple):
    """The outcome of mining one batch.

    Attributes:
        total: () sum of the active hinges, connected to the distances.
        active: () number of hinges above zero.
        kept: () number of triplets that the mining kept.
    """

    total: Tensor
    active: Tensor
    kept: Tensor


def pair_masks(targets: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) masks of the positives (same class, not itself) and the negatives of each anchor, a row each."""
    same = targets.unsqueeze(0) == targets.unsqueeze(1)
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    return same & ~itself, ~same


def unit_vectors(embeddings: Tensor) -> Tensor:
    """(B, D) rows of length one; a zero row stays zero, with zero gradient.

    Dividing by the largest entry first keeps squares of rows of length 1e20 or 1e-20 in range.
    """
    largest = embeddings.detach().abs().amax(dim=1, keepdim=True)
    nonzero = largest != 0
    rows = embeddings / torch.where(nonzero, largest, 1)
    norm = torch.where(nonzero, rows, 1).norm(dim=1, keepdim=True)
    return torch.where(nonzero, rows / norm, 0 * embeddings)


def distances(embeddings: Tensor, *, squared: bool) -> Tensor:
    """(B, B) distances between rows from their differences, so that coincident rows have distance exactly 0."""
    if squared:
        result: Tensor = _SquaredDistances.apply(embeddings)
        return result
    return _euclidean(embeddings)


def _euclidean(embeddings: Tensor) -> Tensor:
    return torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")


class _SquaredDistances(torch.autograd.Function):
    """The square of a root is smooth at 0, but autograd goes through the root and finds no curvature there."""

    @staticmethod
    def forward(embeddings: Tensor) -> Tensor:
        return _euclidean(embeddings).square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (embeddings,) = ctx.saved_tensors
        rows = embeddings - embeddings.mean(dim=0)  # the result does not change, and cancels less
        pull = gradient + gradient.T
        slope: Tensor = 2 * (pull.sum(dim=1, keepdim=True) * rows - pull @ rows)
        return slope


def every_triplet(distance: Tensor, targets: Tensor, margin: float, *, semihard: bool) -> HingeSum:
    """The sum over all triplets, or over those with d_ap < d_an < d_ap + margin.

    Args:
        distance: (B, B).
        targets: (B,).
        margin: of the hinge.
        semihard: whether to leave out triplets whose negative is not farther than the positive.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [1.1]])
        >>> d = distances(x, squared=False)
        >>> every_triplet(d, torch.tensor([0, 0, 1]), 0.2, semihard=False).active
        tensor(2)
    """
    positive, negative = pair_masks(targets)
    with torch.no_grad():
        sorted_negatives = torch.where(negative, distance, torch.inf).sort(dim=1).values
        reach = distance + margin
        if semihard:  # no negative lies in an empty band: margin 0, or lost in the rounding of a large distance
            positive = positive & (reach > distance)
        sorted_reaches = torch.where(positive, reach, torch.inf).sort(dim=1).values
        of_positive = torch.searchsorted(sorted_negatives, reach)
        of_negative = positive.sum(dim=1, keepdim=True) - torch.searchsorted(sorted_reaches, distance, right=True)
        if semihard:
            sorted_positives = torch.where(positive, distance, torch.inf).sort(dim=1).values
            of_positive -= torch.searchsorted(sorted_negatives, distance, right=True)
            closer = torch.searchsorted(sorted_positives, distance)
            of_negative -= positive.sum(dim=1, keepdim=True) - closer
        of_positive, of_negative = of_positive * positive, of_negative * negative
        active = of_positive.sum()
        kept = active if semihard else (positive.sum(dim=1) * negative.sum(dim=1)).sum()
    total = ((of_positive - of_negative) * distance).sum() + margin * active.to(distance.dtype)
    return HingeSum(total, active, kept)


def hardest_triplets(distance: Tensor, targets: Tensor, margin: float) -> HingeSum:
    """The sum over anchors of the hinge on the farthest positive and the nearest negative.

    Args:
        distance: (B, B).
        targets: (B,).
        margin: of the hinge.
    """
    positive, negative = pair_masks(targets)
    anchor = positive.any(dim=1) & negative.any(dim=1)
    farthest = torch.where(positive, distance, -torch.inf).max(dim=1).values
    nearest = torch.where(negative, distance, torch.inf).min(dim=1).values
    # An anchor without a triplet gives 0 * d_aa and not 0: a NaN in its row must surface.
    hinge = torch.where(anchor, farthest - nearest + margin, 0 * distance.diagonal()).relu()
    return HingeSum(hinge.sum(), (hinge > 0).sum(), anchor.sum())
