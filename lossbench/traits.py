"""The inputs that a loss reads, and its properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Need(StrEnum):
    """An input that a loss reads. A run provides it, and the laws generate it."""

    LOGITS = "logits"
    EMBEDDINGS = "embeddings"
    CLASS_COUNTS = "class-counts"
    COSINE_LOGITS = "cosine-logits"  # logits are cosines: the model has a head without bias on unit vectors


class Trait(StrEnum):
    """A property of an instance of a loss, to which a law applies; some traits excuse a loss from a law."""

    SAMPLEWISE = "samplewise"  # the value of a batch is the mean of its rows' values
    BATCH_COUPLED = "batch-coupled"  # the value of a row depends on the other rows
    SHARDABLE = "shardable"  # the mean over equal shards is the value of the whole, so DDP changes nothing
    TWICE_DIFFERENTIABLE = "twice-differentiable"
    PIECEWISE = "piecewise"  # hinges, mining or counts give it kinks, on which equalities are not tested
    STOP_GRADIENT = "stop-gradient"  # backward treats a factor as constant, so the gradient is not the derivative
    VMAP = "vmap"  # torch.func.vmap over batches works
    SHIFT_INVARIANT = "shift-invariant"  # adding a number to all logits of a row changes nothing
    TRANSLATION_INVARIANT = "translation-invariant"  # moving embeddings and state together changes nothing
    ROTATION_INVARIANT = "rotation-invariant"  # so does rotating both
    SCALE_INVARIANT = "scale-invariant"  # so does multiplying the embeddings by a positive number
    LABEL_EQUALITY = "label-equality"  # only which labels are equal matters, not which they are
    MONOTONE = "monotone"  # the value never increases with the true logit
    CONVEX = "convex"  # in the logits
    ZERO_AT_SEPARATION = "zero-at-separation"  # perfect separation drives the value to zero
    ABSENT_CLASS_STATE_FIXED = "absent-class-state-fixed"  # state of classes not in the batch has no influence
    WEIGHTED_LIKELIHOOD = "weighted-likelihood"  # softmax cross-entropy with a weight per class
    SCALE_SAFE = "scale-safe"  # finite for rows of length 1e20 and 1e-20
    FULLGRAPH = "fullgraph"  # torch.compile captures it in one graph


# Sets of traits that many losses share; each extends those above it.
MEAN_OF_ROWS = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})
SMOOTH = frozenset({Trait.TWICE_DIFFERENTIABLE, Trait.VMAP, Trait.FULLGRAPH})
OF_LOG_SOFTMAX = MEAN_OF_ROWS | SMOOTH | {Trait.SHIFT_INVARIANT, Trait.SCALE_SAFE}
CROSS_ENTROPY = OF_LOG_SOFTMAX | {Trait.MONOTONE, Trait.CONVEX, Trait.ZERO_AT_SEPARATION}
LIKELIHOOD = CROSS_ENTROPY | {Trait.WEIGHTED_LIKELIHOOD}
RIGID_MOTIONS = frozenset({Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT})


@dataclass(frozen=True)
class Homogeneity:
    """How a loss scales: if embeddings and state are multiplied by a, its value is multiplied by a**degree.

    Attributes:
        degree: power of a by which the value is multiplied.
        hyperparameters: name -> power of a by which it is multiplied too, such as {"margin": 1}.
    """

    degree: float
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
