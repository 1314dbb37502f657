"""Fast paths of the triplet loss: the mean hinge of embeddings and its gradient, without a node per part.

Two kinds of mining have one: all triplets of a batch that is small enough to compare them one by one, and the hardest
pairs of each anchor, where matrix products only choose the pairs and value and gradient need two rows per anchor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .triplet_counts import COMPARE_UP_TO
from .with_gradient import Gradients

_BLOCK = 2**17
"""Pairs per block; the buffers of a block stay in the cache."""

Fast = Callable[..., tuple[Tensor, Gradients]]


def fast_path(embeddings: Tensor, mining: str) -> Fast | None:
    """Return the fast path for a batch, or None.

    Args:
        embeddings: (B, D).
        mining: "all", "semihard" or "hard".
    """
    if not embeddings.numel():
        return None
    if mining == "all" and len(embeddings) <= COMPARE_UP_TO:
        return mean_hinge_of_few
    # The pairs are chosen by products in float64, which exceed the precision of float32 only.
    return mean_hinge_of_hardest if mining == "hard" and embeddings.dtype is torch.float32 else None


def mean_hinge_of_few(
    needs: tuple[bool, ...],
    embeddings: Tensor,
    targets: Tensor,
    *,
    margin: float,
    squared: bool,
    normalize: bool,
    average: str,
) -> tuple[Tensor, Gradients]:
    """Return the mean hinge over all triplets, (), and its gradients; B^3 comparisons.

    Args:
        needs: for each of the two tensors, whether its gradient is required.
        embeddings: (B, D).
        targets: (B,) class numbers.
        margin: margin of the hinge.
        squared: whether distances are squared.
        normalize: whether to normalize the rows to unit length first.
        average: "active" or "all".
    """
    rows, length = _unit(embeddings) if normalize else (embeddings, None)
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    if squared:
        distance.square_()
    same = targets.unsqueeze(1) == targets
    of_negative = torch.where(same, torch.inf, distance)
    reach = torch.where(same, distance + margin, -torch.inf).fill_diagonal_(-torch.inf)
    active = rows.new_empty(3 * [len(rows)])  # anchor, positive, negative; as floats, which add up faster than bools
    torch.gt(reach.unsqueeze(2), of_negative.unsqueeze(1), out=active)
    counts = active.sum(dim=2)
    number = counts.sum()
    counts.sub_(active.sum(dim=1))  # W of `triplet_counts`
    if average == "all":
        positives = same.sum(dim=1, dtype=rows.dtype)
        divisor = ((positives - 1) * (len(targets) - positives)).sum().clamp_(min=1)
    else:
        divisor = number.clamp(min=1)
    value = torch.dot(counts.view(-1), distance.view(-1)).add_(number, alpha=margin).div_(divisor)
    if not any(needs):
        return value, ()
    if squared:
        counts.mul_(2)
    else:
        counts.div_(distance).masked_fill_(distance == 0, 0)
    both = counts + counts.T
    # Centering does not change the gradient, and reduces cancellation.
    centered = torch.sub(rows, rows.sum(dim=0), alpha=1 / len(rows))
    pull = (both.sum(dim=1, keepdim=True) * centered).addmm_(both, centered, alpha=-1)  # in place: for autocast
    return value, (_through_unit(pull.div_(divisor), rows, length), None)


def mean_hinge_of_hardest(
    needs: tuple[bool, ...],
    embeddings: Tensor,
    targets: Tensor,
    *,
    margin: float,
    squared: bool,
    normalize: bool,
    average: str,
) -> tuple[Tensor, Gradients]:
    """Return the mean hinge of each anchor's farthest positive and nearest negative, (), and its gradients.

    The arguments are those of `mean_hinge_of_few`.
    """
    rows, length = _unit(embeddings) if normalize else (embeddings, None)
    farthest, nearest, has_both, zero = _hardest(rows, targets)
    to_farthest, to_nearest = rows - rows.index_select(0, farthest), rows - rows.index_select(0, nearest)
    far, near = torch.linalg.vector_norm(to_farthest, dim=1), torch.linalg.vector_norm(to_nearest, dim=1)
    hinge = (far.square() - near.square() if squared else far - near).add_(margin)
    active = ((hinge > 0) & has_both).to(rows.dtype)
    divisor = (has_both.to(rows.dtype) if average == "all" else active).sum().clamp_(min=1)
    value = torch.dot(torch.where(has_both, hinge, 0.0), active).div_(divisor).add_(zero)
    if not any(needs):
        return value, ()
    share = active.div_(divisor)
    if squared:
        of_far = of_near = 2 * share
    else:
        of_far = (share / far).masked_fill_(far == 0, 0)
        of_near = (share / near).masked_fill_(near == 0, 0)
    to_farthest.mul_(of_far.unsqueeze(1))
    to_nearest.mul_(of_near.unsqueeze(1))
    pull = to_farthest - to_nearest
    pull.index_add_(0, farthest, to_farthest, alpha=-1).index_add_(0, nearest, to_nearest)
    return value, (_through_unit(pull, rows, length), None)


def _hardest(rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, for each anchor, its farthest positive, its nearest negative and whether it has both, and a zero, ().

    The zero is NaN if a row is not finite. Squared distances are computed up to the anchor's own square, in float64.
    """
    wide = rows.double()
    wide -= wide.mean(dim=0)
    squares = wide.square().sum(dim=1)
    farthest, nearest, has_both = [], [], []
    in_block = max(1, _BLOCK // len(rows))
    for start in range(0, len(rows), in_block):
        anchors = wide[start : start + in_block]
        distance = squares.repeat(len(anchors), 1).addmm_(anchors, wide.T, alpha=-2)  # in place: for autocast
        same = targets[start : start + in_block].unsqueeze(1) == targets
        of_positive = torch.where(same, distance, -torch.inf)
        of_positive.diagonal(start).fill_(-torch.inf)
        far, near = of_positive.max(dim=1), distance.masked_fill_(same, torch.inf).min(dim=1)
        farthest.append(far.indices)
        nearest.append(near.indices)
        has_both.append((far.values > -torch.inf) & (near.values < torch.inf))
    zero = (squares.sum() * 0).to(rows.dtype)
    return _joined(farthest), _joined(nearest), _joined(has_both), zero


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _unit(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of length one and their lengths, (B, 1); inf for a zero row, which stays zero."""
    length = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True, dtype=torch.float64).to(embeddings.dtype)
    length.masked_fill_(length == 0, torch.inf)
    return embeddings / length, length


def _through_unit(pull: Tensor, rows: Tensor, length: Tensor | None) -> Tensor:
    """Return the gradient in the embeddings for a gradient in the unit rows, computed in place."""
    if length is None:
        return pull
    along = (rows * pull).sum(dim=1, keepdim=True)
    return pull.addcmul_(along, rows, value=-1).div_(length)
