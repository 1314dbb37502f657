"""Checks of what a loss is given: shapes, dtypes, labels, hyper-parameters.

Shape, rank and dtype are read from metadata and always checked. Label values are read on the CPU only: on an
accelerator that would stop the device, and under `torch.compile` it would break the graph.
"""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

from ..errors import HyperparameterError, UsageError

_debug = False


def debug(enabled: bool = True) -> None:
    """Turns the check of label values on (or off) on accelerators too, at the price of a host sync a call."""
    global _debug
    _debug = enabled


def matrix(name: str, value: Tensor, targets: Tensor, columns: int, num_classes: int) -> Tensor:
    """`value` as float32 (float64 stays), after checking it and `targets` for shape and dtype.

    Args:
        name: "logits" or "embeddings", for messages.
        value: (B, columns), floating point.
        targets: (B,), integer.
        columns: what the second axis must be: the number of classes or the embedding size.
        num_classes: what labels must be below, where they are read (see `debug`).

    Raises:
        UsageError: naming the argument, what it is, and what was expected.
    """
    if value.ndim != 2 or value.shape[1] != columns:
        raise UsageError(f"{name} must have shape (B, {columns}), got {tuple(value.shape)}")
    if not value.is_floating_point():
        raise UsageError(f"{name} must be floating point, got {value.dtype}")
    if targets.ndim != 1 or targets.shape[0] != value.shape[0]:
        raise UsageError(f"targets must have shape ({value.shape[0]},) like {name}, got {tuple(targets.shape)}")
    if targets.is_floating_point() or targets.is_complex() or targets.dtype is torch.bool:
        raise UsageError(f"targets must be class numbers of type int64, got {targets.dtype}")
    if _debug and not torch.compiler.is_compiling():
        check_target_range(targets, num_classes)
    return value if value.dtype is torch.float64 else value.float()


def check_target_range(targets: Tensor, num_classes: int) -> None:
    """Reads the labels and refuses one outside [0, num_classes).

    Raises:
        UsageError: naming the first such label and its row.
    """
    wrong = (targets < 0) | (targets >= num_classes)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        hint = " (-100 is no 'ignore' here: drop such rows)" if int(targets[row]) == -100 else ""
        raise UsageError(f"targets must lie in [0, {num_classes}), got {int(targets[row])} in row {row}{hint}")


def refuse_out_of_range(targets: Tensor, num_classes: int) -> None:
    """`check_target_range` where values are readable, at the price of one small operator when all is well.

    Raises:
        UsageError: naming the first such label and its row.
    """
    if values_are_readable(targets):
        try:
            targets.new_empty(num_classes).index_select(0, targets.long())  # raises, and gives no number to wait for
        except IndexError:
            check_target_range(targets, num_classes)
            raise


def values_are_readable(targets: Tensor) -> bool:
    """Whether label values may be read here: on the CPU and outside `torch.compile`."""
    return targets.device.type == "cpu" and not torch.compiler.is_compiling()


def number(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    above: float = -math.inf,
    maximum: float = math.inf,
    below: float = math.inf,
) -> float:
    """A finite hyper-parameter in its range, or a `HyperparameterError` that names it, the rule and the value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise HyperparameterError(f"{name} must be a finite number, got {value!r}")
    if not (value >= minimum and value > above and value <= maximum and value < below):
        rules = [
            f"at least {minimum:g}" if minimum > -math.inf else "",
            f"above {above:g}" if above > -math.inf else "",
            f"at most {maximum:g}" if maximum < math.inf else "",
            f"below {below:g}" if below < math.inf else "",
        ]
        raise HyperparameterError(f"{name} must be {' and '.join(filter(None, rules))}, got {value!r}")
    return float(value)


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """One of `options`, or a `HyperparameterError` that lists them."""
    if not isinstance(value, str) or value not in options:
        raise HyperparameterError(f"{name} must be one of {', '.join(options)}, got {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """True or false, or a `HyperparameterError`."""
    if not isinstance(value, bool):
        raise HyperparameterError(f"{name} must be true or false, got {value!r}")
    return value
