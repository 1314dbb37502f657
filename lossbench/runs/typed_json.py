"""Dataclasses from JSON and back, read strictly: every error names the field, what it holds, and what was expected.

    read_as(Point, {"x": 1, "y": 2.5})

Kinds: bool, int, float, str, None, unions of these, `Annotated[..., Bounds(...)]`, tuples, dictionaries with text keys,
and dataclasses. Unknown keys are ignored, so that a later release may add fields. Numbers are finite, and whole numbers
at most 2^53, as JSON readers of other languages have them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union

from ..printable import shortened
from .json_text import FieldError

T = TypeVar("T")

MOST = 2**53


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", types.NoneType: "null"}


@dataclass(frozen=True)
class Bounds:
    """Least and greatest value of a number, both allowed."""

    low: float
    high: float = math.inf


Count = Annotated[int, Bounds(0, MOST)]
Positive = Annotated[int, Bounds(1, MOST)]
Seconds = Annotated[float, Bounds(0)]
Share = Annotated[float, Bounds(0, 1)]
Scalar = bool | int | float | str | None


def read_as(kind: type[T], value: Any, path: str = "") -> T:
    """Return a JSON value as a dataclass.

    Args:
        kind: the dataclass.
        value: what `parse` returned.
        path: of the value within its file, such as "data.training_counts".

    Raises:
        FieldError: a field is missing or not of its kind.

    Example:
        >>> @dataclass
        ... class Point:
        ...     x: int
        ...     label: str | None = None
        >>> read_as(Point, {"x": 3, "unknown": 1})
        Point(x=3, label=None)
        >>> read_as(Point, {"x": "3"})
        Traceback (most recent call last):
        ...
        lossbench.runs.json_text.FieldError: x: expected a whole number, got '3'
    """
    return typing.cast(T, _read(kind, value, path))


def plain(value: Any) -> Any:
    """Return a dataclass as JSON-ready dictionaries and lists, its fields in order."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return value


def _read(kind: Any, value: Any, path: str) -> Any:  # noqa: PLR0911  # one return per kind
    origin = typing.get_origin(kind)
    if origin is Annotated:
        inner, bounds = typing.get_args(kind)
        number = _read(inner, value, path)
        if not bounds.low <= number <= bounds.high:
            upper = "" if bounds.high in (math.inf, MOST) else f" and at most {bounds.high}"
            raise _wrong(path, f"a number of at least {bounds.low}{upper}", value)
        return number
    if origin in (Union, types.UnionType):
        return _read_union(kind, value, path)
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        inner = typing.get_args(kind)[1]
        return {name: _read(inner, item, _join(path, name)) for name, item in value.items()}
    if hasattr(kind, "from_json"):
        try:
            return kind.from_json(value)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FieldError(f"{path or 'it'}: {type(error).__name__}: {shortened(str(error))}") from None
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, path)
    return _read_plain(kind, value, path)


def _read_plain(kind: Any, value: Any, path: str) -> Any:
    if kind is float and type(value) is int and abs(value) <= MOST:
        return float(value)
    if type(value) is not kind or (kind is int and abs(value) > MOST) or (kind is float and not math.isfinite(value)):
        raise _wrong(path, _NAMES[kind], value)
    return value


def _read_union(kind: Any, value: Any, path: str) -> Any:
    options = typing.get_args(kind)
    exact = [o for o in options if (typing.get_args(o)[0] if typing.get_origin(o) is Annotated else o) is type(value)]
    if exact:
        return _read(exact[0], value, path)
    structured = [o for o in options if o not in _NAMES]
    numbers = [o for o in options if o is float]
    if value is None or ((type(value) is not int or not numbers) and len(structured) != 1):
        raise _wrong(path, " or ".join(_NAMES.get(o, "an object") for o in options), value)
    return _read(numbers[0] if numbers and type(value) is int else structured[0], value, path)


def _read_tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(path, "a list", value)
    if kinds[-1] is not Ellipsis:
        if len(value) != len(kinds):
            raise _wrong(path, f"a list of {len(kinds)}", value)
        return tuple(_read(k, item, f"{path}[{n}]") for n, (k, item) in enumerate(zip(kinds, value, strict=True)))
    return tuple(_read(kinds[0], item, f"{path}[{n}]") for n, item in enumerate(value))


def _read_dataclass(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    hints, given = _hints(kind), {}
    for field in dataclasses.fields(kind):
        inner = _join(path, field.name)
        if field.name in value:
            given[field.name] = _read(hints[field.name], value[field.name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise FieldError(f"{inner} is missing")
    try:
        return kind(**given)
    except ValueError as error:
        raise FieldError(f"{path or 'it'}: {error}") from None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _wrong(path: str, expected: str, value: Any) -> FieldError:
    return FieldError(f"{path or 'it'}: expected {expected}, got {shortened(repr(value))}")


def _join(path: str, name: str) -> str:
    return f"{path}.{shortened(name)}" if path else shortened(name)
