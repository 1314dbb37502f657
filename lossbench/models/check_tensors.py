"""Whether tensors are those that a model wants: every name, shape and type, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModelError, listed


class Form(NamedTuple):
    """What a tensor must be like."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32


def check_fit(tensors: Mapping[str, Tensor], forms: Mapping[str, Form], what: str) -> None:
    """Refuses tensors that differ from what is expected, listing up to ten differences.

    Args:
        tensors: name -> tensor, as found.
        forms: name -> form, as expected.
        what: how the message begins.

    Raises:
        ModelError: names that are missing or unexpected; shapes or types that differ; numbers that are not finite;
            negative variances.

    Example:
        >>> expected = {"a": Form((3,)), "b": Form((1,))}
        >>> check_fit({"a": torch.zeros(2), "c": torch.zeros(1)}, expected, "x.pth does not fit")
        Traceback (most recent call last):
        lossbench.errors.ModelError: x.pth does not fit:
          a has shape (2), expected (3)
          b is missing
          c is not expected
    """
    problems = [problem for name in forms if (problem := _problem(name, tensors.get(name), forms[name]))]
    problems += [f"{name} is not expected" for name in tensors if name not in forms]
    if problems:
        raise ModelError(f"{what}:\n{listed(problems, 10)}")


def _problem(name: str, tensor: Tensor | None, form: Form) -> str | None:
    if tensor is None:
        return f"{name} is missing"
    if tuple(tensor.shape) != form.shape:
        return f"{name} has shape {written(tensor.shape)}, expected {written(form.shape)}"
    if tensor.dtype is not form.dtype:
        return f"{name} is of type {dtype_name(tensor.dtype)}, expected {dtype_name(form.dtype)}"
    if not bool(torch.isfinite(tensor).all()):
        return f"{name} holds numbers that are not finite"
    if name.endswith("running_var") and bool((tensor < 0).any()):
        return f"{name} holds negative variances"
    return None


def written(shape: tuple[int, ...]) -> str:
    """A shape for messages: (64, 3, 7, 7)."""
    return f"({', '.join(map(str, shape))})"


def dtype_name(dtype: torch.dtype) -> str:
    """A type for messages: float32."""
    return str(dtype).removeprefix("torch.")
