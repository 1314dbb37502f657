"""Count the devices over which cells are distributed."""

from __future__ import annotations


def gpus_for(device: str) -> int:
    """Return the number of CUDA devices for a grid: all for `auto` and `cuda`, otherwise none.

    `cuda:N` is one device, which cells use in turns.
    """
    import torch

    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return 0
    return torch.cuda.device_count()
