"""Open the data that lossbench makes or ships, `synthetic` and `digits`, with the parameters of a `--data` value."""

from __future__ import annotations

import types
import typing
from typing import Any, TypeVar

from ..errors import DataError, FormulaError, did_you_mean
from ..expression import Value, parse_call
from .request import Request, Splits

FORM = "{}(name=value, ...)"
_ORIGIN = "test split of the dataset"
Parameters = TypeVar("Parameters")


def open_synthetic(request: Request) -> Splits:
    """Open rendered faces."""
    from .rendered_faces import RenderedFaces, open_rendered_faces

    train, test = open_rendered_faces(_parameters(RenderedFaces, request))
    return Splits(train=train, test=test, origin=_ORIGIN)


def open_digits(request: Request) -> Splits:
    """Open the handwritten digits of scikit-learn."""
    from . import digits

    train, test = digits.open_digits(_parameters(digits.Digits, request), request.seed)
    return Splits(train=train, test=test, origin=_ORIGIN)


def _parameters(kind: type[Parameters], request: Request) -> Parameters:
    """Parse the parameters of a spec and check their names and types; their class checks the ranges."""
    request.refuse_split_options()
    try:
        name, arguments = parse_call(request.spec)
    except FormulaError as error:
        what = str(error).partition("\n")[0]  # the rest is about losses
        form = FORM.format(request.spec.partition("(")[0].strip())
        raise DataError(f"--data {request.spec!r}: {what}; expected {form!r}") from None
    known = typing.get_type_hints(kind)
    for parameter, value in arguments.items():
        if parameter not in known:
            raise DataError(
                f"--data {request.spec!r}: {name} has no parameter {parameter!r}. {did_you_mean(parameter, known)}"
            )
        if not _fits(value, known[parameter]):
            wanted = getattr(known[parameter], "__name__", None) or str(known[parameter])
            raise DataError(f"--data {request.spec!r}: {parameter} must be of type {wanted}; got {value!r}")
    return kind(**arguments)


def _fits(value: Value, wanted: Any) -> bool:
    if isinstance(wanted, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is wanted
