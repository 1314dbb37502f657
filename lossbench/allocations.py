"""A bound on the memory that building a loss or a model may take, for those that a file names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from .errors import LossbenchError


@contextlib.contextmanager
def bounded_allocations(most: int, error: Callable[[str], LossbenchError]) -> Iterator[None]:
    """Refuse each operator of torch within the context whose result is larger than a bound, before it is run.

    Args:
        most: bytes of one result.
        error: makes the error from a text that says how many bytes were asked for.

    Example:
        >>> from lossbench.errors import ModelError
        >>> with bounded_allocations(2**20, ModelError):
        ...     torch.zeros(10**6, 10**6)
        Traceback (most recent call last):
        lossbench.errors.ModelError: it would take 4,000,000,000,000 bytes at once; at most 1,048,576 are taken for it
    """
    with _Bounded(most, error):
        yield


class _Bounded(TorchDispatchMode):
    def __init__(self, most: int, error: Callable[[str], LossbenchError]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most, self.error = most, error

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if (size := _result_bytes(func, args, given)) > self.most:
            raise self.error(f"it would take {size:,} bytes at once; at most {self.most:,} are taken for it")
        return func(*args, **given)


def _result_bytes(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    """Return the size of an operator's result from a run on the meta device; 0 if the operator cannot run there."""
    shapes, named = tree_map(_without_data, args), tree_map(_without_data, kwargs)
    if any(argument.name == "device" for argument in func._schema.arguments):
        named["device"] = torch.device("meta")
    try:
        result = func(*shapes, **named)
    except Exception:  # the operator itself reports what is wrong, or reads values, as `item` does
        return 0
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))


def _without_data(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
