"""Sorted rows of integers.

On the CPU this is numpy's sort, which is vectorized: ten to twenty times faster than torch's for the rows that mining
sorts. It is a custom operator and therefore opaque to `torch.compile`, which keeps it in one graph.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sorted_rows(keys: Tensor) -> Tensor:
    """Return (..., B) int64 keys with each row in ascending order.

    Example:
        >>> sorted_rows(torch.tensor([[3, 1, 2]]))
        tensor([[1, 2, 3]])
    """
    if keys.device.type == "cpu":
        found: Tensor = _sorted_rows_on_cpu(keys)
        return found
    return keys.sort(dim=-1).values


@torch.library.custom_op("lossbench::sorted_rows", mutates_args=(), device_types="cpu")
def _sorted_rows_on_cpu(keys: Tensor) -> Tensor:
    copy = keys.clone(memory_format=torch.contiguous_format)
    copy.numpy().sort(axis=-1)
    return copy


@_sorted_rows_on_cpu.register_fake
def _(keys: Tensor) -> Tensor:
    return keys.new_empty(keys.shape)


@_sorted_rows_on_cpu.register_vmap
def _(info: Any, in_dims: tuple[int], keys: Tensor) -> tuple[Tensor, int]:
    return sorted_rows(keys.movedim(in_dims[0], 0)), 0
