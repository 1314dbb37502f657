"""The collective operation that losses need."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """Return whether several processes share each step."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_ranks(*tensors: Tensor) -> None:
    """Replace each tensor, in place, by its sum over all processes; does nothing with a single process.

    Every process must call it with tensors of the same shapes, in the same order.
    """
    if is_distributed():
        for tensor in tensors:
            dist.all_reduce(tensor)
