"""Fast paths of the losses with centers: the mean over the batch and its gradient, for classes that have all started.

The offset of a sample to its center is the gradient of its squared distance up to a factor per row; the offset of a
center to the mean center is the same for the separation. Both buffers are turned into the gradients in place.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .with_gradient import Gradients


def own_started(centers: Tensor, targets: Tensor) -> bool:
    """Return whether the class of every sample has started, by reading values.

    Args:
        centers: (C, D) on the CPU; a row of NaN marks a class that has not started.
        targets: (B,) class numbers in [0, C).
    """
    return not np.isnan(centers.detach().numpy()[targets.numpy(), 0]).any()


def all_started(centers: Tensor) -> bool:
    """Return whether every class has started, by reading values.

    Args:
        centers: (C, D) on the CPU; a row of NaN marks a class that has not started.
    """
    return not np.isnan(centers.detach().numpy()[:, 0]).any()


def mean_squared_offset(
    needs: tuple[bool, ...], embeddings: Tensor, targets: Tensor, centers: Tensor
) -> tuple[Tensor, Gradients]:
    """Return the mean of |x_i - c_{y_i}|^2 / 2 over the batch, (), and its gradients.

    Args:
        needs: for each of the three tensors, whether its gradient is required.
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D).
    """
    offset = centers.index_select(0, targets).sub_(embeddings)
    value = torch.linalg.vector_norm(offset).square_().div_(2 * len(targets))
    if not any(needs):
        return value, ()
    pull = offset.mul_(-1 / len(targets))
    of_centers = torch.zeros_like(centers).index_add_(0, targets, pull, alpha=-1) if needs[2] else None
    return value, (pull, None, of_centers)


def mean_ratio_to_separation(
    needs: tuple[bool, ...],
    embeddings: Tensor,
    targets: Tensor,
    centers: Tensor,
    weight: Tensor,
    *,
    scale: float,
    delta: float,
) -> tuple[Tensor, Gradients]:
    """Return the mean of w |x - c|^2 / 2 / (scale S + delta) over the batch, (), and its gradients.

    With r_k = c_k - m for the mean center m, S_k = C |r_k|^2 + sum_j |r_j|^2. With g = dL/dS, its gradient in the
    centers is 2 [(C g_k + sum g) r_k - sum_j g_j r_j].

    Args:
        needs: for each of the four tensors, whether its gradient is required.
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D).
        weight: (C,).
        scale: factor of the separation S.
        delta: added to it; above 0.
    """
    batch, classes = len(targets), len(centers)
    offset = centers.index_select(0, targets).sub_(embeddings)
    squares = torch.linalg.vector_norm(offset, dim=1).square_()
    total = centers.sum(dim=0)
    if needs[2] or classes <= batch:
        radius = torch.sub(centers, total, alpha=1 / classes)
        squared_radius = torch.linalg.vector_norm(radius, dim=1).square_()
    else:  # without a C x D buffer
        mean = total.div_(classes).unsqueeze(0)
        squared_radius = torch.cdist(centers, mean, compute_mode="donot_use_mm_for_euclid_dist").squeeze(1).square_()
    # The denominators, times -B: that makes the factors those of the offsets in the gradient.
    below = torch.add(
        squared_radius.sum().mul_(-batch * scale).sub_(batch * delta), squared_radius, alpha=-batch * scale * classes
    )
    factor = weight / below
    own = factor.index_select(0, targets)
    value = torch.dot(squares, own).mul_(-0.5)
    if not any(needs):
        return value, ()
    pull = offset.mul_(own.unsqueeze(1))
    if not needs[2]:
        return value, (pull, None, None, None)
    sums = torch.zeros_like(factor).index_add_(0, targets, squares)
    slope = factor.div_(below).mul_(sums).mul_(-batch * scale)  # 2 g
    shared = torch.zeros_like(total).addmv_(radius.T, slope)  # in place: autocast ignores it
    of_centers = radius.mul_(torch.add(slope.sum(), slope, alpha=classes).unsqueeze(1)).sub_(shared)
    return value, (pull, None, of_centers.index_add_(0, targets, pull, alpha=-1), None)
