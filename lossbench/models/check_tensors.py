"""Check that tensors match a model exactly in names, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModelError, listed


class Form(NamedTuple):
    """The expected shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32


def check_fit(tensors: Mapping[str, Tensor], forms: Mapping[str, Form], what: str) -> None:
    """Raise an error if tensors differ from the expected forms, listing up to ten differences.

    Args:
        tensors: actual tensors by name.
        forms: expected forms by name.
        what: start of the message.

    Raises:
        ModelError: missing or unexpected names, different shapes or dtypes, non-finite values, or negative variances.

    Example:
        >>> expected = {"a": Form((3,)), "b": Form((1,))}
        >>> check_fit({"a": torch.zeros(2), "c": torch.zeros(1)}, expected, "x.pth does not fit")
        Traceback (most recent call last):
        lossbench.errors.ModelError: x.pth does not fit:
          a has shape (2), expected (3)
          b is missing
          c is unexpected
    """
    problems = [problem for name in forms if (problem := _problem(name, tensors.get(name), forms[name]))]
    problems += [f"{name} is unexpected" for name in tensors if name not in forms]
    if problems:
        raise ModelError(f"{what}:\n{listed(problems, 10)}")


def _problem(name: str, tensor: Tensor | None, form: Form) -> str | None:
    if tensor is None:
        return f"{name} is missing"
    return form_problem(name, Form(tuple(tensor.shape), tensor.dtype), form) or value_problem(name, tensor)


def form_problem(name: str, found: Form, form: Form) -> str | None:
    """Return the difference between the form of a tensor and the expected one as a phrase, or None."""
    if found.shape != form.shape:
        return f"{name} has shape {written(found.shape)}, expected {written(form.shape)}"
    if found.dtype is not form.dtype:
        return f"{name} is of type {dtype_name(found.dtype)}, expected {dtype_name(form.dtype)}"
    return None


def value_problem(name: str, tensor: Tensor) -> str | None:
    """Return the problem with a tensor's values as a phrase, or None."""
    if not bool(torch.isfinite(tensor).all()):
        return f"{name} has non-finite values"
    if name.endswith("running_var") and bool((tensor < 0).any()):
        return f"{name} has negative variances"
    return None


def written(shape: tuple[int, ...]) -> str:
    """Return a shape as text for messages: (64, 3, 7, 7)."""
    return f"({', '.join(map(str, shape))})"


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype as text for messages: float32."""
    return str(dtype).removeprefix("torch.")
