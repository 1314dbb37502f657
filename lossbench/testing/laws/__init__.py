"""The laws, by group. Importing this package fills `lossbench.testing.law.LAWS`."""

from . import arguments, calculus, finiteness, meaning, sizes, symmetry, systems

__all__ = ["arguments", "calculus", "finiteness", "meaning", "sizes", "symmetry", "systems"]
