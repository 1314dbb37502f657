"""The losses once more, as naive loops over scalars straight from their definitions: what law `naive-loop` compares.

They share no code with the losses. What they use of torch is arithmetic on single numbers, so that autograd gives the
gradient.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossbench import LoopBatch


def _squared(one: Any, other: Any) -> Any:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _cosine(one: list[float], other: list[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def contrastive_center(batch: LoopBatch) -> Any:
    """Mean of |x - c_y|²/2 over delta and the squared distances to the other started centers; 0 with fewer than two."""
    centers, delta = batch.state["centers"].tolist(), batch.hyperparameters["delta"]
    begun = [j for j, c in enumerate(centers) if not math.isnan(c[0])]
    total = 0 * batch.embeddings.sum()
    for x, y in zip(batch.embeddings, batch.targets, strict=True):
        if len(begun) > 1 and y in begun:
            others = sum(_squared(x, centers[j]) for j in begun if j != y)
            total = total + _squared(x, centers[y]) / 2 / (others + delta)
    return total / len(batch.targets)


def island(batch: LoopBatch) -> Any:
    """Mean of |x - c_y|²/2, and repulsion times the sum of 1 + cos over ordered pairs of started centers."""
    centers = batch.state["centers"].tolist()
    begun = [c for c in centers if not math.isnan(c[0])]
    total = 0 * batch.embeddings.sum()
    for x, y in zip(batch.embeddings, batch.targets, strict=True):
        if not math.isnan(centers[y][0]):
            total = total + _squared(x, centers[y]) / 2
    pairs = sum(_cosine(one, other) + 1 for one, other in itertools.permutations(begun, 2))
    return total / len(batch.targets) + batch.hyperparameters["repulsion"] * pairs


def gaussian_affinity(batch: LoopBatch) -> Any:
    """Mean of the sum of hinges over the other classes, and diversity times the variance over pairs."""
    settings, prototypes = batch.hyperparameters, batch.state["prototypes"].tolist()
    total = 0 * batch.embeddings.sum()
    for x, y in zip(batch.embeddings, batch.targets, strict=True):
        affinity = [(-_squared(x, w) / settings["sigma"]).exp() for w in prototypes]
        for j, a in enumerate(affinity):
            hinge = settings["margin"] + a - affinity[y]
            if j != y and float(hinge) > 0:
                total = total + hinge
    apart = [_squared(one, other) for one, other in itertools.combinations(prototypes, 2)]
    mean = sum(apart) / len(apart)
    spread = sum((square - mean) ** 2 for square in apart) / len(apart)
    return total / len(batch.targets) + settings["diversity"] * spread
