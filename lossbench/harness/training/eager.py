"""Optimizers that do not import torch's compiler.

At its first step an optimizer of torch imports `torch._dynamo`, which takes more than a second, to mark its methods for
the compiler. The marks matter only inside a compiled function, and optimizers are never compiled here.
"""

from __future__ import annotations

import functools
import inspect
from typing import TypeVar

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=Optimizer)

_MARKED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


@functools.cache
def eager(kind: type[Kind]) -> type[Kind]:
    """Return a subclass of an optimizer with the functions that its marked methods wrap.

    Args:
        kind: a class of `torch.optim` whose `step` needs no gradient.

    Example:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = eager(torch.optim.SGD)([weight], lr=0.5)
        >>> (3 * weight).backward()
        >>> optimizer.step()
        >>> weight
        tensor([-0.5000], requires_grad=True)
    """
    own = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**own, "step": step, "__module__": kind.__module__})
