"""Class centers, (C, D), that start and move with the samples of each step.

A row of NaN marks a class that has not started: it takes part in nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..distributed import sum_over_ranks
from .class_sums import class_sums
from .function import Function

_BLOCK = 2**16
"""Numbers in a block of centers."""


class ClassStatistics(NamedTuple):
    """What a step's samples say of each class, over all ranks.

    Attributes:
        counts: (C,) samples, in the dtype of the embeddings.
        mean: (C, D) mean embedding; zero where the count is zero.
        scatter: (C,) mean squared distance to the class's center; NaN where it has none or the count is zero.
    """

    counts: Tensor
    mean: Tensor
    scatter: Tensor


def class_statistics(embeddings: Tensor, targets: Tensor, centers: Tensor) -> ClassStatistics:
    """Counts, means and scatter around `centers`, by class.

    Args:
        embeddings: (B, D) of this rank; B may be 0.
        targets: (B,) class numbers.
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> x, centers = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
        >>> class_statistics(x, torch.tensor([1, 1]), centers).scatter
        tensor([nan, 5.])
    """
    targets = targets.long()
    counts = class_sums(embeddings.new_ones(len(targets)), targets, len(centers))
    total = class_sums(embeddings, targets, len(centers))
    squares = (embeddings - centers.index_select(0, targets)).square().sum(dim=1)  # NaN without a center
    scatter = class_sums(squares, targets, len(centers))
    sum_over_ranks(counts, total, scatter)
    return ClassStatistics(counts, total / counts.clamp(min=1).unsqueeze(1), scatter / counts)


def started(centers: Tensor) -> Tensor:
    """(C,) bool: which classes have a center; the row of one that has not started is NaN."""
    return ~centers[:, 0].isnan()


def start_or_move(centers: Tensor, moved: Tensor, statistics: ClassStatistics) -> Tensor:
    """The centers after a step: a class in its first batch starts at its mean, one that had started takes `moved`.

    Args:
        centers: (C, D) before the step.
        moved: (C, D) where started classes go.
        statistics: of the step.
    """
    present = (statistics.counts > 0).unsqueeze(1)
    unstarted = ~started(centers).unsqueeze(1)
    return torch.where(present, torch.where(unstarted, statistics.mean, moved), centers)


def squared_distance_to_own_center(embeddings: Tensor, targets: Tensor, centers: Tensor) -> Tensor:
    """(B,) squared distance of each sample to its class's center; zero for a class that has not started.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> squared_distance_to_own_center(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.zeros(1, 2))
        tensor([25.])
    """
    squares: Tensor = _Spread.apply(embeddings, targets, centers, False)[0]
    return squares


def own_distance_and_separation(embeddings: Tensor, targets: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """`squared_distance_to_own_center` and `center_separation` at once, whose gradients in the centers share a buffer.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.
    """
    squares, _, separation = _Spread.apply(embeddings, targets, centers, True)
    return squares, separation


def mean_center(centers: Tensor) -> tuple[Tensor, Tensor]:
    """The number of started classes, (), and the mean of their centers, (D,)."""
    has_center = started(centers)
    number_started = has_center.sum().to(centers.dtype)
    total = torch.stack([_started_rows(rows).sum(dim=0) for rows in _blocks(centers)]).sum(dim=0)
    return number_started, total / number_started.clamp(min=1)


def center_separation(centers: Tensor) -> Tensor:
    """(C,) sum of squared distances from each center to every other; zero for a class that has not started.

    Args:
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> center_separation(torch.tensor([[0.0], [1.0], [5.0]]))
        tensor([26., 17., 41.])
    """
    number_started, mean = mean_center(centers)
    squared_radius = torch.cat([(rows - mean).square().sum(dim=1) for rows in _blocks(centers)])
    squared_radius = torch.where(started(centers), squared_radius, 0.0)
    return torch.where(started(centers), number_started * squared_radius + squared_radius.sum(), 0.0)


class _Spread(Function):
    """Squared distances to own centers, the offsets that they are of, and the separation of the centers.

    An offset is the gradient of its square up to a factor of its row: the backward pass is one multiplication, and one
    sum by class where centers learn. It is an output, so that the gradient of the gradient finds its way back.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(embeddings: Tensor, targets: Tensor, centers: Tensor, separate: bool) -> tuple[Tensor, ...]:
        own = centers.index_select(0, targets)
        # x - x and not 0: a NaN in a row must surface even before its class has a center.
        offset = torch.where(started(own).unsqueeze(1), own, embeddings).sub_(embeddings)
        squares = torch.linalg.vector_norm(offset, dim=1).square()
        return squares, offset, center_separation(centers) if separate else squares.new_zeros(())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, targets, centers, ctx.separate = inputs
        ctx.save_for_backward(targets, centers, output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, of_squares: Tensor | None, of_offset: Tensor | None, of_separation: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        targets, centers, offset = ctx.saved_tensors
        pull = None if of_squares is None else (-2 * of_squares).unsqueeze(1) * offset
        if of_offset is not None:
            moving = torch.where(started(centers).index_select(0, targets).unsqueeze(1), of_offset, 0.0)
            pull = -moving if pull is None else pull - moving
        if not ctx.needs_input_grad[2]:
            return pull, None, None, None
        of_centers = None
        if ctx.separate and of_separation is not None:
            of_centers = _gradient_of_separation(centers, of_separation)
        if pull is not None:
            drawn = class_sums(pull, targets, len(centers))
            of_centers = -drawn if of_centers is None else of_centers - drawn
        return pull, None, of_centers, None


def _gradient_of_separation(centers: Tensor, gradient: Tensor) -> Tensor:
    """(C, D): with r_k = c_k - m and n started classes, 2 [(n g_k + sum g) r_k - sum_j g_j r_j]."""
    number_started, mean = mean_center(centers)
    has_center = started(centers)
    gradient = torch.where(has_center, gradient, 0.0)
    radius = torch.where(has_center.unsqueeze(1), centers - mean, 0.0)
    shared = (gradient.unsqueeze(1) * radius).sum(dim=0)
    own = (number_started * gradient + gradient.sum()).unsqueeze(1) * radius
    return torch.where(has_center.unsqueeze(1), 2 * (own - shared), 0.0)


def _started_rows(centers: Tensor) -> Tensor:
    return torch.where(started(centers).unsqueeze(1), centers, 0.0)


def _blocks(centers: Tensor) -> tuple[Tensor, ...]:
    """The rows in blocks that stay in a CPU's cache; whole elsewhere, and in a graph that is compiled."""
    if centers.device.type != "cpu" or torch.compiler.is_compiling():
        return (centers,)
    blocks: tuple[Tensor, ...] = centers.split(max(1, _BLOCK // centers.shape[1]))
    return blocks
