"""A loss whose forward draws the same random numbers at each call, so that its values can be compared."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

from ..loss import Loss
from ..types import ModelOutput
from .generators import seeded


@cache
def seeded_class(kind: type[Loss]) -> type[Loss]:
    """Return a subclass whose forward draws the same random numbers at each call."""

    def forward(self: Loss, output: ModelOutput, targets: Tensor) -> Tensor:
        with seeded(0):
            value: Tensor = kind.forward(self, output, targets)
        return value

    def reduced(self: Loss) -> Any:
        return _seeded_again, (kind, self.__dict__)

    return type(kind.__name__, (kind,), {"forward": forward, "__reduce__": reduced, "__module__": kind.__module__})


def _seeded_again(kind: type[Loss], state: dict[str, Any]) -> Loss:
    """Return a copy of a loss of a seeded class."""
    loss = kind.__new__(kind)
    loss.__dict__.update(state)
    loss.__class__ = seeded_class(kind)
    return loss
