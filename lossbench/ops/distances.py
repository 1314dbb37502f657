"""Distances between the rows of a batch, such that coincident rows have distance exactly 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .function import Function, apply


def distances(embeddings: Tensor, *, squared: bool) -> Tensor:
    """Return (B, B) distances between rows, computed from their differences; differentiable.

    Args:
        embeddings: (B, D).
        squared: whether to square them.

    Example:
        >>> distances(torch.tensor([[0.0], [3.0]]), squared=True)
        tensor([[0., 9.],
                [9., 0.]])
    """
    if squared:
        result: Tensor = _SquaredDistances.apply(embeddings)
        return result
    return _euclidean(embeddings, embeddings)


def _euclidean(some: Tensor, all_: Tensor) -> Tensor:
    return torch.cdist(some, all_, compute_mode="donot_use_mm_for_euclid_dist")


def squared_distances(some: Tensor, others: Tensor) -> Tensor:
    """Return the (B, C) squared distances between two sets of rows, in memory of B times C; differentiable in both.

    Args:
        some: (B, D).
        others: (C, D).

    Example:
        >>> squared_distances(torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0]]))
        tensor([[1.],
                [4.]])
    """
    result: Tensor = apply(_SquaredDistancesBetween, some, others)
    return result


class _SquaredDistancesBetween(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(some: Tensor, others: Tensor) -> Tensor:
        return _euclidean(some, others).square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        some, others = ctx.saved_tensors
        origin = others.mean(dim=0)  # does not change the result, and reduces cancellation
        rows, columns = some - origin, others - origin
        of_rows = 2 * (gradient.sum(dim=1, keepdim=True) * rows - gradient @ columns)
        of_columns = 2 * (gradient.sum(dim=0).unsqueeze(1) * columns - gradient.T @ rows)
        return of_rows, of_columns


class _SquaredDistances(torch.autograd.Function):
    """The square of a root is smooth at 0, but autograd differentiates through the root and has no curvature there."""

    @staticmethod
    def forward(embeddings: Tensor) -> Tensor:
        return _euclidean(embeddings, embeddings).square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (embeddings,) = ctx.saved_tensors
        rows = embeddings - embeddings.mean(dim=0)  # does not change the result, and reduces cancellation
        pull = gradient + gradient.T
        slope: Tensor = 2 * (pull.sum(dim=1, keepdim=True) * rows - pull @ rows)
        return slope


def distances_of_blocks(rows: Tensor, *, squared: bool, by_product: bool) -> Callable[[slice], Tensor]:
    """Return a function from a block of rows to their (R, B) distances to all rows; not differentiable.

    Args:
        rows: (B, D).
        squared: whether to square them.
        by_product: use a matrix product in float64 if that exceeds the precision of the rows; otherwise distances
            are computed from differences, which takes 20 times longer. Rows that differ by less than about
            D * 1e-15 of their squared length count as coincident.

    Example:
        >>> distances_of_blocks(torch.tensor([[0.0], [3.0]]), squared=True, by_product=True)(slice(0, 1)).round()
        tensor([[0., 9.]], dtype=torch.float64)
    """
    if not by_product or rows.dtype is torch.float64 or rows.device.type == "mps":
        return lambda block: _euclidean(rows[block], rows).square() if squared else _euclidean(rows[block], rows)
    wide = rows.double()
    wide = wide - wide.mean(dim=0)
    # Shrunk by more than the rounding of the product, so that a coincident row gets a value below 0, which is clamped.
    norms = wide.square().sum(dim=1) * (1 - 4 * (rows.shape[1] + 4) * torch.finfo(torch.float64).eps)

    def of(block: slice) -> Tensor:
        sums = norms[block].unsqueeze(1) + norms
        # In place, because autocast ignores in-place operators.
        square = sums.addmm_(wide[block], wide.T, alpha=-2).clamp_(min=0)
        return square if squared else square.sqrt_()

    return of
