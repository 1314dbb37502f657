"""The global random number generators of the CPU: of torch, of Python, and of NumPy if it is loaded."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

States = dict[str, Any]
"""A state by the name of its generator; two are compared with ==."""


def states() -> States:
    """Return the states of the generators."""
    found = {"torch": torch.get_rng_state().numpy().tobytes(), "Python": random.getstate()}
    if (numpy := sys.modules.get("numpy")) is not None:
        name, key, *place = numpy.random.get_state()
        found["NumPy"] = (name, key.tobytes(), *place)
    return found


def put_back(states: States) -> None:
    """Set the generators to states that `states` returned."""
    torch.set_rng_state(torch.frombuffer(bytearray(states["torch"]), dtype=torch.uint8))
    random.setstate(states["Python"])
    if "NumPy" in states:
        numpy = sys.modules["numpy"]
        name, key, *place = states["NumPy"]
        numpy.random.set_state((name, numpy.frombuffer(key, numpy.uint32), *place))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators, and put them back afterwards."""
    before = states()
    # torch.manual_seed would also queue a call, with a formatted stack, for each kind of device that is not in use.
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    if "NumPy" in before:
        sys.modules["numpy"].random.seed(seed)
    try:
        yield
    finally:
        put_back(before)
