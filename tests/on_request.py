"""Values of `pytest.mark.parametrize` of which only some run by default."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def long_but(kept: Collection[object], values: Iterable[Any], name: str = "") -> list[Any]:
    """The values; those that are not in `kept` run with `-m long` only.

    Args:
        kept: what runs by default.
        values: values of a parameter.
        name: attribute of a value that `kept` lists; "" for the value itself.
    """
    values = list(values)
    names = [getattr(value, name) if name else value for value in values]
    assert set(kept) <= set(names), set(kept) - set(names)
    return [
        value if its_name in kept else pytest.param(value, marks=pytest.mark.long)
        for value, its_name in zip(values, names, strict=True)
    ]
