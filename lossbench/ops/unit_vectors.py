"""Rows scaled to unit length, including rows of length 1e20, 1e-20 and 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .function import Function, apply


def unit_vectors(embeddings: Tensor) -> Tensor:
    """Return (B, D) rows of length one; a zero row stays zero and has zero gradient.

    Example:
        >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    if embeddings.shape[1] == 0:
        return embeddings
    unit: Tensor = apply(_UnitVectors, embeddings)[0]
    return unit


class _UnitVectors(Function):
    """One over the length is also an output, so that second derivatives flow through it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(embeddings: Tensor) -> tuple[Tensor, Tensor]:
        wide = embeddings.dtype if embeddings.device.type == "mps" else torch.float64  # keeps squares in range
        length = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True, dtype=wide).to(embeddings.dtype)
        length = length.masked_fill(length == 0, torch.inf)  # makes the row 0, and its gradient
        return embeddings / length, length.reciprocal()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_inverse: Tensor | None) -> Tensor | None:
        unit, inverse = ctx.saved_tensors
        if gradient is None:
            return None if of_inverse is None else -of_inverse * inverse.square() * unit
        along = (unit * gradient).sum(dim=1, keepdim=True)
        if of_inverse is not None:
            along = along + of_inverse * inverse
        slope: Tensor = inverse * (gradient - along * unit)
        return slope
