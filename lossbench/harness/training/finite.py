"""Whether many tensors hold finite values only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def largest(tensors: Sequence[Tensor]) -> Tensor:
    """Return the largest magnitude of any entry. Magnitudes, unlike norms, cannot overflow."""
    if not tensors:
        return torch.zeros(())
    peaks = torch._foreach_norm(list(tensors), float("inf"))
    return torch.stack([peak.float() for peak in peaks]).amax()


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Return whether every entry of tensors on the CPU is finite.

    Euclidean norms are computed first, ten times as fast as magnitudes. They are non-finite if an entry is, and if they
    overflow.
    """
    if not tensors:
        return True
    norms = torch._foreach_norm(list(tensors))
    if len({norm.dtype for norm in norms}) > 1:
        norms = tuple(norm.double() for norm in norms)
    return math.isfinite(torch.stack(norms).sum()) or math.isfinite(largest(tensors))
