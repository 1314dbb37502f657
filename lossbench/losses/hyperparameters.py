"""Checks of a loss's hyper-parameters: each returns the value, or raises an error with name, rule and value."""

from __future__ import annotations

import math
import sys

from ..errors import HyperparameterError
from ..types import plain


def number(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    above: float = -math.inf,
    maximum: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return a finite hyper-parameter in its range, or raise a `HyperparameterError` with name, rule and value."""
    value = plain(value)
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
    """Return one of `options`, or raise a `HyperparameterError` that lists them."""
    if not isinstance(value, str) or value not in options:
        raise HyperparameterError(f"{name} must be one of {', '.join(options)}, got {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """Return a bool, or raise a `HyperparameterError`."""
    value = plain(value)
    if not isinstance(value, bool):
        raise HyperparameterError(f"{name} must be true or false, got {value!r}")
    return value
