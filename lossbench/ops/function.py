"""What the kernels' autograd functions share."""

from __future__ import annotations

from typing import Any

import torch


class Function(torch.autograd.Function):
    """An `autograd.Function` with `setup_context`, so that `torch.func` takes it; called by `apply` below."""


def apply(function: type[torch.autograd.Function], *arguments: Any) -> Any:
    """Call `function.apply` without the overhead that only transforms of `torch.func` need.

    Before each call torch binds the arguments to the signature of `forward`, which takes longer than a small kernel.
    Here arguments are always complete and in order.
    """
    if may_write_in_place():
        return super(torch.autograd.Function, function).apply(*arguments)  # type: ignore[misc]
    return function.apply(*arguments)


def may_write_in_place() -> bool:
    """Return whether a kernel may overwrite saved tensors: outside `torch.func` transforms and the compiler."""
    return not torch.compiler.is_compiling() and not torch._C._are_functorch_transforms_active()
