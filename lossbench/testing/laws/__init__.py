"""The laws, by group. Importing this package fills `lossbench.testing.law.LAWS`."""

from . import (
    arguments,
    calculus,
    finiteness,
    hooks,
    hyperparameters,
    life,
    meaning,
    sizes,
    surroundings,
    symmetry,
    systems,
)

__all__ = [
    "arguments",
    "calculus",
    "finiteness",
    "hooks",
    "hyperparameters",
    "life",
    "meaning",
    "sizes",
    "surroundings",
    "symmetry",
    "systems",
]
