"""The laws. Importing this package fills `lossbench.testing.law.LAWS`.

Within a group the laws have the order of these imports, which numbers them: add a module at the end of its group.
"""

# ruff: isort: skip_file
from . import calculus
from . import large_logits, degenerate_batches, non_finite  # Finiteness
from . import reordering, renumbering, motions  # Symmetry
from . import bounds, class_weights, repetition, rare_classes, definitions, gathering  # Meaning
from . import half_precision, side_effects, execution, copies, calls  # Systems
from . import arguments
from . import multiples, sizes, shards, training_counts, extents  # Size and scale
from . import hooks, parameters, hyperparameters, life, surroundings, steps, soft_targets, state_rules  # Life

__all__ = [
    "arguments",
    "bounds",
    "calculus",
    "calls",
    "class_weights",
    "copies",
    "definitions",
    "degenerate_batches",
    "execution",
    "extents",
    "gathering",
    "half_precision",
    "hooks",
    "hyperparameters",
    "large_logits",
    "life",
    "motions",
    "multiples",
    "non_finite",
    "parameters",
    "rare_classes",
    "renumbering",
    "reordering",
    "repetition",
    "shards",
    "side_effects",
    "sizes",
    "soft_targets",
    "state_rules",
    "steps",
    "surroundings",
    "training_counts",
]
