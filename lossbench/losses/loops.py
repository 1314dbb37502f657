"""The built-in losses as naive loops over scalars, written from their definitions: what the law `naive-loop` compares.

The loops share no code with the losses. They use torch for arithmetic on single numbers only, so that autograd
provides the gradient. A loop returns the value, or the value and the state that `update_state` leaves behind.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from ..types import LoopBatch

State = dict[str, list[list[float]]]


def softmax(batch: LoopBatch) -> Any:
    """Return the mean over rows of log sum exp z - z_y."""
    rows = list(zip(batch.logits, batch.targets, strict=True))
    return sum(_cross_entropy(z, y) for z, y in rows) / len(rows)


def weighted_softmax(batch: LoopBatch) -> Any:
    """Return the sum of w_y (log sum exp z - z_y), over the number of rows or over the sum of their weights."""
    w = _weights(batch.class_counts, batch.hyperparameters["power"])
    total = sum(w[y] * _cross_entropy(z, y) for z, y in zip(batch.logits, batch.targets, strict=True))
    by_rows = batch.hyperparameters["average"] == "dataset"
    return total / (len(batch.targets) if by_rows else sum(w[y] for y in batch.targets))


def center(batch: LoopBatch) -> tuple[Any, State]:
    """Return the mean over rows of half the squared distance to the own center, and the centers after a step.

    A row whose class has not started costs 0.
    """
    centers = batch.state["centers"].tolist()
    total = 0 * batch.embeddings.sum()
    for x, y in zip(batch.embeddings, batch.targets, strict=True):
        if not math.isnan(centers[y][0]):
            total = total + _squared(x, centers[y]) / 2
    return total / len(batch.targets), {"centers": _centers_after_center(batch)}


def _centers_after_center(batch: LoopBatch) -> list[list[float]]:
    """c_j <- c_j - alpha sum (c_j - x_i) / (1 + n_j); a class starts at its mean."""
    alpha, moved = batch.hyperparameters["alpha"], batch.state["centers"].tolist()
    for j, c in enumerate(batch.state["centers"].tolist()):
        rows = [x for x, y in zip(batch.embeddings.tolist(), batch.targets, strict=True) if y == j]
        if not rows:
            continue
        for k in range(len(c)):
            if math.isnan(c[0]):
                moved[j][k] = sum(x[k] for x in rows) / len(rows)
            else:
                moved[j][k] = c[k] - alpha * sum(c[k] - x[k] for x in rows) / (1 + len(rows))
    return moved


def weighted_cluster(batch: LoopBatch) -> tuple[Any, State]:
    """Return the mean over rows of w_y/2 |x - c_y|² / (s S_y + delta), over started classes, and the moved centers."""
    centers, settings = batch.state["centers"].tolist(), batch.hyperparameters
    w = _weights(batch.class_counts, settings["power"] if settings["term_weight"] == "class" else 0.0)
    begun = [c for c in centers if not math.isnan(c[0])]
    total = 0 * batch.embeddings.sum()
    for x, y in zip(batch.embeddings, batch.targets, strict=True):
        if len(begun) < 2 or math.isnan(centers[y][0]):
            continue
        apart = sum(_squared(centers[y], other) for other in begun)
        apart = apart / (len(begun) - 1) if settings["separation"] == "mean" else apart
        total = total + w[y] * _squared(x, centers[y]) / 2 / (apart + settings["delta"])
    return total / len(batch.targets), {"centers": _centers_after_weighted_cluster(batch)}


def _centers_after_weighted_cluster(batch: LoopBatch) -> list[list[float]]:
    """c_y <- c_y - alpha n/(1+n) [(c_y - mean) - r_y sum_j (c_y - c_j)]; a class starts at its mean."""
    settings = batch.hyperparameters
    old = batch.state["centers"].tolist()
    moved = [list(c) for c in old]
    begun = [c for c in old if not math.isnan(c[0])]
    s = 1 / max(len(begun) - 1, 1) if settings["separation"] == "mean" else 1.0
    for j, c in enumerate(old):
        rows = [x for x, y in zip(batch.embeddings.tolist(), batch.targets, strict=True) if y == j]
        if not rows:
            continue
        n = len(rows)
        mean = [sum(x[k] for x in rows) / n for k in range(len(c))]
        if math.isnan(c[0]):
            moved[j] = mean
        elif len(begun) > 1:
            scatter = sum(_squared(x, c) for x in rows) / n
            separation = sum(_squared(c, other) for other in begun)
            r = min(s * scatter / (s * separation + settings["delta"]), 0.9 / len(begun))
            for k in range(len(c)):
                push = r * sum(c[k] - other[k] for other in begun)
                moved[j][k] = c[k] - settings["alpha"] * n / (1 + n) * (c[k] - mean[k] - push)
    return moved


def triplet(batch: LoopBatch) -> Any:
    """Return the mean over the hinges of the triplets that the mining keeps."""
    margin, mining = batch.hyperparameters["margin"], batch.hyperparameters["mining"]
    normalize, squared = batch.hyperparameters["normalize"], batch.hyperparameters["distance"] == "squared"
    rows = list(batch.embeddings)
    if normalize:  # a row of zeros has no direction
        rows = [x / x.norm() if bool(x.any()) else 0 * x for x in rows]
    size, y = range(len(rows)), batch.targets
    d = [[_distance(a, b, squared) for b in rows] for a in rows]
    hinges = []
    for a in size:
        positives = [d[a][p] for p in size if p != a and y[p] == y[a]]
        negatives = [d[a][n] for n in size if y[n] != y[a]]
        if mining == "hard":
            pairs = [(max(positives), min(negatives))] if positives and negatives else []
        else:
            pairs = list(itertools.product(positives, negatives))
        chosen = [(p, n) for p, n in pairs if mining != "semihard" or p < n < p + margin]
        hinges += [p - n + margin for p, n in chosen]
    active = [hinge for hinge in hinges if hinge > 0]
    divisor = len(active) if batch.hyperparameters["average"] == "active" else len(hinges)
    return sum(active) / divisor if active else 0 * batch.embeddings.sum()


def _weights(class_counts: tuple[int, ...], power: float) -> list[float]:
    raw = [float(n) ** -power for n in class_counts]
    mean = sum(r * n for r, n in zip(raw, class_counts, strict=True)) / sum(class_counts)
    return [r / mean for r in raw]


def _cross_entropy(z: Tensor, y: int) -> Any:
    top = max(z.tolist())
    return torch.stack([(v - top).exp() for v in z]).sum().log() + top - z[y]


def _squared(one: Any, other: Any) -> Any:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _distance(one: Tensor, other: Tensor, squared: bool) -> Any:
    square = _squared(one, other)
    return square if squared or square == 0 else square.sqrt()
