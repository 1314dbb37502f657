"""Fast paths of the steps of class centers on the CPU, in one process: a row per class of the batch, moved in place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class _Present(NamedTuple):
    """The K classes of a batch.

    Attributes:
        classes: (K,) class numbers, each once.
        row: (B,) position of each sample's class among them.
        counts: (K,) samples, in the dtype of the embeddings.
        mean: (K, D) mean embedding.
    """

    classes: Tensor
    row: Tensor
    counts: Tensor
    mean: Tensor


def _present(embeddings: Tensor, targets: Tensor) -> _Present:
    found = np.unique(targets.numpy(), return_inverse=True, return_counts=True)
    classes, row, number = map(torch.from_numpy, found)
    counts = number.to(embeddings.dtype)
    total = embeddings.new_zeros((len(classes), embeddings.shape[1])).index_add_(0, row, embeddings)
    return _Present(classes, row, counts, total.div_(counts.unsqueeze(1)))


def move_to_means(centers: Tensor, embeddings: Tensor, targets: Tensor, alpha: float) -> None:
    """Move each center by alpha n / (1 + n) of its way to the mean of its n samples, in place.

    Args:
        centers: (C, D) on the CPU; a row of NaN marks a class that has not started, which starts at its mean.
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        alpha: in (0, 1].
    """
    present = _present(embeddings, targets)
    rows = centers.index_select(0, present.classes)
    fresh = np.isnan(rows.numpy()[:, 0])
    rows.lerp_(present.mean, (alpha * present.counts).div_(present.counts + 1).unsqueeze(1))
    if fresh.any():
        rows = torch.where(torch.from_numpy(fresh).unsqueeze(1), present.mean, rows)
    centers.index_copy_(0, present.classes, rows)


def move_apart(
    centers: Tensor, embeddings: Tensor, targets: Tensor, alpha: float, *, scale: float, delta: float
) -> None:
    """Move each center to the mean of its samples and away from the other centers, in place.

    The rule is that of `lossbench.losses.weighted_cluster`, for classes that have all started.

    Args:
        centers: (C, D) on the CPU, C at least 2.
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        alpha: in (0, 1].
        scale: factor of the separation.
        delta: added to it; above 0.
    """
    number = len(centers)
    mean = centers.mean(dim=0, keepdim=True)
    radius = torch.cdist(centers, mean, compute_mode="donot_use_mm_for_euclid_dist").squeeze(1).square_()
    separation = torch.add(radius.sum(), radius, alpha=number).mul_(scale)
    offset = centers.index_select(0, targets).sub_(embeddings)
    squares = torch.linalg.vector_norm(offset, dim=1).square_()
    present = _present(embeddings, targets)
    scatter = torch.zeros_like(present.counts).index_add_(0, present.row, squares).div_(present.counts)
    push = scatter.mul_(scale).div_(separation.index_select(0, present.classes).add_(delta)).clamp_(max=0.9 / number)
    share = (alpha * present.counts).div_(present.counts + 1)
    rows = centers.index_select(0, present.classes)
    apart = rows - mean
    rows.lerp_(present.mean, share.unsqueeze(1)).addcmul_(apart, push.mul_(share).mul_(number).unsqueeze(1))
    centers.index_copy_(0, present.classes, rows)
