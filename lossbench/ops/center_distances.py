"""Distances from samples to their centers and between centers, in O((B + C) D) time with one buffer of each size.

The offset of a sample to its center is the gradient of its squared distance up to a factor per row. The offsets are
therefore saved and turned into the gradient in place: nothing is allocated beyond B x D, and C x D if centers learn.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .class_sums import class_sums
from .function import Function, may_write_in_place


def started(centers: Tensor) -> Tensor:
    """Return (C,) bool: which classes have a center; the row of a class that has not started is NaN."""
    first = centers[:, 0]
    return first == first  # noqa: PLR0124  # false for NaN, in one operator


def mean_center(centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of started classes, (), and the mean of their centers, (D,)."""
    return _mean_of_started(centers, started(centers))


def _mean_of_started(centers: Tensor, has_center: Tensor) -> tuple[Tensor, Tensor]:
    number_started = has_center.sum(dtype=centers.dtype)
    # A NaN in a started row is hidden here, and appears in that row's distance to the mean.
    return number_started, centers.nansum(dim=0) / number_started.clamp(min=1)


def center_separation(centers: Tensor) -> Tensor:
    """Return (C,) sums of squared distances from each center to all others; zero for a class that has not started.

    Args:
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> center_separation(torch.tensor([[0.0], [1.0], [5.0]]))
        tensor([26., 17., 41.])
    """
    has_center = started(centers)
    return _separation(centers, has_center, *_mean_of_started(centers, has_center))


def _separation(centers: Tensor, has_center: Tensor, number_started: Tensor, mean: Tensor) -> Tensor:
    # One operator without a C x D result, computed from differences to avoid cancellation.
    radius = torch.cdist(centers, mean.unsqueeze(0), compute_mode="donot_use_mm_for_euclid_dist").squeeze(1)
    squared_radius = torch.where(has_center, radius.square(), 0.0)
    return torch.where(has_center, number_started * squared_radius + squared_radius.sum(), 0.0)


def squared_distance_to_own_center(embeddings: Tensor, targets: Tensor, centers: Tensor) -> Tensor:
    """Return (B,) squared distances of samples to their class centers; zero for a class that has not started.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.

    Example:
        >>> squared_distance_to_own_center(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.zeros(1, 2))
        tensor([25.])
    """
    return _spread(embeddings, targets, centers, separate=False)[0]


def own_distance_and_separation(embeddings: Tensor, targets: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return `squared_distance_to_own_center` and `center_separation`; their gradients in the centers share a buffer.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.
    """
    return _spread(embeddings, targets, centers, separate=True)


def _spread(embeddings: Tensor, targets: Tensor, centers: Tensor, *, separate: bool) -> tuple[Tensor, Tensor]:
    """Return (B,) squared distances to the own centers, and (C,) `center_separation` if `separate`, else a zero.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers in [0, C).
        centers: (C, D); a row of NaN marks a class that has not started.
        separate: whether to compute the separation.
    """
    squares: Tensor
    separation: Tensor
    if may_write_in_place():
        squares, separation = _InPlace.apply(embeddings, targets, centers, separate)
    else:
        squares, _, separation = _Spread.apply(embeddings, targets, centers, separate)
    return squares, separation


class _InPlace(torch.autograd.Function):
    """The first backward overwrites the offsets; a second one computes them again.

    Not used under transforms of `torch.func`, so saved tensors need not be outputs.
    """

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, targets: Tensor, centers: Tensor, separate: bool) -> tuple[Tensor, ...]:
        ctx.save_for_backward(embeddings, targets, centers)
        has_center = started(centers)
        ctx.separate, ctx.has_own = separate, has_center.index_select(0, targets)
        ctx.offset = _offset(embeddings, targets, centers, ctx.has_own)
        ctx.set_materialize_grads(False)
        squares = _squares(ctx.offset)
        # 0 * x rather than 0, so that a NaN in a row appears even before its class has a center.
        squares = torch.where(ctx.has_own, squares, 0 * squares.clamp(max=1))
        if not separate:
            return squares, centers.new_zeros(())
        ctx.mean = _mean_of_started(centers, has_center)
        return squares, _separation(centers, has_center, *ctx.mean)

    @staticmethod
    def backward(ctx: Any, of_squares: Tensor | None, of_separation: Tensor | None) -> tuple[Tensor | None, ...]:
        embeddings, targets, centers = ctx.saved_tensors
        if torch.is_grad_enabled():  # for a second derivative
            return _differentiable_backward(ctx, of_squares, of_separation)
        pull = of_centers = None
        if of_squares is not None:
            pull = _offset(embeddings, targets, centers, ctx.has_own) if ctx.offset is None else ctx.offset
            ctx.offset = None
            pull.mul_(torch.where(ctx.has_own, -2 * of_squares, 0.0).unsqueeze(1))
        if ctx.needs_input_grad[2]:
            if ctx.separate and of_separation is not None:
                of_centers = _gradient_of_separation_in_place(centers, of_separation, *ctx.mean)
            if pull is not None:
                of_centers = class_sums(pull, targets, len(centers), alpha=-1, into=of_centers)
        return pull, None, of_centers, None


def _offset(embeddings: Tensor, targets: Tensor, centers: Tensor, has_own: Tensor) -> Tensor:
    """Return sample-to-center differences, (B, D), computed in one buffer; to the origin before a class has started."""
    return centers.index_select(0, targets).masked_fill_(~has_own.unsqueeze(1), 0).sub_(embeddings)


def _differentiable_backward(
    ctx: Any, of_squares: Tensor | None, of_separation: Tensor | None
) -> tuple[Tensor | None, ...]:
    embeddings, targets, centers = ctx.saved_tensors
    wanted = [tensor for tensor in (embeddings, centers) if tensor.requires_grad]
    squares, _, separation = _Spread.apply(embeddings, targets, centers, ctx.separate)
    pairs = [(squares, of_squares), (separation, of_separation)]
    outputs = [(value, gradient) for value, gradient in pairs if gradient is not None and value.requires_grad]
    values, gradients = zip(*outputs, strict=True)
    found = torch.autograd.grad(values, wanted, gradients, create_graph=True, allow_unused=True)
    by_input = dict(zip(map(id, wanted), found, strict=True))
    return by_input.get(id(embeddings)), None, by_input.get(id(centers)), None


class _Spread(Function):
    """The out-of-place version: for `torch.func`, compiled graphs and second derivatives.

    The offsets are an output, so that second derivatives flow through them.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(embeddings: Tensor, targets: Tensor, centers: Tensor, separate: bool) -> tuple[Tensor, ...]:
        own = centers.index_select(0, targets)
        # x - x rather than 0, so that a NaN in a row appears even before its class has a center.
        offset = torch.where(started(own).unsqueeze(1), own, embeddings) - embeddings
        return _squares(offset), offset, center_separation(centers) if separate else centers.new_zeros(())

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


def _squares(offset: Tensor) -> Tensor:
    squares: Tensor = torch.linalg.vector_norm(offset, dim=1).square()
    return squares


def _gradient_of_separation(centers: Tensor, gradient: Tensor) -> Tensor:
    """Return (C, D): with r_k = c_k - m and n started classes, 2 [(n g_k + sum g) r_k - sum_j g_j r_j]."""
    number_started, mean = mean_center(centers)
    has_center = started(centers)
    gradient = torch.where(has_center, gradient, 0.0)
    radius = torch.where(has_center.unsqueeze(1), centers - mean, 0.0)
    shared = (gradient.unsqueeze(1) * radius).sum(dim=0)
    own = (number_started * gradient + gradient.sum()).unsqueeze(1) * radius
    return torch.where(has_center.unsqueeze(1), 2 * (own - shared), 0.0)


def _gradient_of_separation_in_place(centers: Tensor, gradient: Tensor, number_started: Tensor, mean: Tensor) -> Tensor:
    """Return `_gradient_of_separation`, computed in one buffer."""
    has_center = started(centers)
    missing = ~has_center.unsqueeze(1)
    gradient = torch.where(has_center, gradient, 0.0)
    found = (centers - mean).masked_fill_(missing, 0)
    shared = torch.zeros_like(mean).addmv_(found.T, gradient, alpha=2)  # in place: autocast ignores it
    found.mul_((2 * (number_started * gradient + gradient.sum())).unsqueeze(1))
    return found.sub_(shared).masked_fill_(missing, 0)
