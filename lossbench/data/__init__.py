"""Data sources, splits and loading. Names that the command line shows are kept here, where no NumPy is imported."""

from enum import StrEnum


class Sampler(StrEnum):
    """How training rows are drawn."""

    NATURAL = "natural"  # every row once per epoch
    BALANCED = "balanced"  # classes equally often, rows of a class equally often, with replacement
    SQRT = "sqrt"  # classes by the square root of their counts, with replacement
