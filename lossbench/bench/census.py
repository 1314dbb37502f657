"""Count the operators that a call dispatches, and its host synchronizations."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_WAITING = {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "bincount", "allclose"}
_WAITING |= {"_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive", "histc"}


@dataclass(frozen=True)
class Census:
    """Counts of a call: operators other than views, and host synchronizations."""

    operations: int
    host_syncs: int


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.partition("::")[2]
        if not _is_view(func):
            self.operations[name] += 1
        if name in _WAITING or _has_mask(name, args) or _repeats_by_tensor(name, func):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


def _is_view(func: Any) -> bool:
    aliases = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _has_mask(name: str, args: Any) -> bool:
    """Return whether an operator indexes by a mask, whose result has a data-dependent size."""
    if name not in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return False
    return any(isinstance(leaf, torch.Tensor) and leaf.dtype is torch.bool for leaf in tree_leaves(args[1]))


def _repeats_by_tensor(name: str, func: Any) -> bool:
    return name == "repeat_interleave" and func._overloadname == "Tensor"


def take_census(call: Callable[[], None], update: Callable[[], None], *, on_gpu: bool) -> Census:
    """Count operators and synchronizations in one more call, and synchronizations also in `update`.

    On CUDA, torch's sync debug mode counts synchronizations. On the CPU, operators are counted that would synchronize
    on a device.
    """
    with _Counting() as counting:
        call()
    operations, waits = sum(counting.operations.values()), sum(counting.waits.values())
    if on_gpu:
        return Census(operations, _cuda_waits(call, update))
    with _Counting() as updating:
        update()
    return Census(operations, waits + sum(updating.waits.values()))


def _cuda_waits(call: Callable[[], None], update: Callable[[], None]) -> int:
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
            update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in caught)
