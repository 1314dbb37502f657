"""The devices over which cells are spread."""

from __future__ import annotations


def gpus_for(device: str) -> int:
    """How many CUDA devices a grid may use: all for `auto` and `cuda`, none of them for the rest.

    A `cuda:N` is one device, and cells take turns on it.
    """
    import torch

    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return 0
    return torch.cuda.device_count()
