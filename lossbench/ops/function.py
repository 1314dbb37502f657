"""What the kernels' autograd functions share."""

from __future__ import annotations

import inspect
from typing import Any

import torch


class Function(torch.autograd.Function):
    """An `autograd.Function` with `setup_context`, so that `torch.func` takes it, and half of the price of a call.

    At each call torch reads the signature of `forward` anew, which takes longer than a small kernel; here it is read
    once.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.forward.__signature__ = inspect.signature(cls.forward)  # type: ignore[attr-defined]
