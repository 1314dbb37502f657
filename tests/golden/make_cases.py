"""Compute the expected values of `cases.json` with plain Python loops over floats.

    python tests/golden/make_cases.py

Reads the inputs of the 120 cases (logits, embeddings, centers, targets, hyper-parameters) from `cases.json` beside this
file, computes value, gradients and moved centers from the definitions in `docs/losses.md`, and writes the file again.
The script imports neither torch, NumPy nor lossbench, and derives each gradient by hand, so it shares no code and no
rounding with the losses that the cases test.
"""

from __future__ import annotations

import json
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

CASES = Path(__file__).with_name("cases.json")
INPUTS = ("loss", "hyperparameters", "num_classes", "embedding_dim", "class_counts", "targets", "logits", "embeddings")
MAX_PULL = 0.9  # of weighted-cluster's update, divided by the number of classes

Vector = list[float]
Rows = list[Vector]
Case = dict[str, Any]


def answers(case: Case) -> Case:
    """Return value, gradients and moved centers of one case; None where the loss does not depend on the input."""
    expected = dict.fromkeys(("value", "grad_logits", "grad_embeddings", "grad_centers"))
    return expected | FORMULAS[case["loss"]](case, **case["hyperparameters"])


def softmax(case: Case) -> Case:
    """Mean of -log softmax(z)[y] over the rows."""
    return _weighted_rows(case, [1.0] * len(case["targets"]), len(case["targets"]))


def weighted_softmax(case: Case, power: float, average: str) -> Case:
    """Weight each row by its class; divide by the batch size or by the batch's sum of weights."""
    weights = _class_weights(case["class_counts"], power)
    rows = [weights[y] for y in case["targets"]]
    return _weighted_rows(case, rows, len(rows) if average == "dataset" else sum(rows))


def center(case: Case, alpha: float) -> Case:
    """Mean of half the squared distance to the center of the class."""
    x, targets, centers = case["embeddings"], case["targets"], case["centers"]
    value, to_x, to_centers = 0.0, _zeros(x), _zeros(centers)
    for i, y in enumerate(targets):
        difference = _minus(x[i], centers[y])
        value += _dot(difference, difference) / 2 / len(targets)
        _add(to_x[i], difference, 1 / len(targets))
        _add(to_centers[y], difference, -1 / len(targets))
    moved = [list(c) for c in centers]
    for y in set(targets):
        own = [x[i] for i in range(len(targets)) if targets[i] == y]
        for row in own:
            _add(moved[y], _minus(centers[y], row), -alpha / (1 + len(own)))
    return {
        "value": value,
        "grad_embeddings": to_x,
        "grad_centers": to_centers,
        "centers_after_update": moved,
    }


def weighted_cluster(case: Case, delta: float, power: float, separation: str, term_weight: str, alpha: float) -> Case:
    """Mean of w_y/2 ‖x - c_y‖² / (s S_y + delta), S_y the squared distances from c_y to the other centers."""
    x, targets, centers = case["embeddings"], case["targets"], case["centers"]
    classes, size = len(centers), len(targets)
    scale = 1.0 if separation == "sum" else 1 / (classes - 1)
    weights = _class_weights(case["class_counts"], power if term_weight == "class" else 0.0)
    spread = [scale * sum(_squared(a, b) for b in centers) + delta for a in centers]
    value, to_x, to_centers = 0.0, _zeros(x), _zeros(centers)
    for i, y in enumerate(targets):
        share = weights[y] / size
        difference = _minus(x[i], centers[y])
        distance = _dot(difference, difference)
        value += share * distance / 2 / spread[y]
        _add(to_x[i], difference, share / spread[y])
        _add(to_centers[y], difference, -share / spread[y])
        for j in range(classes):
            between = _minus(centers[y], centers[j])
            push = share * scale * distance / spread[y] ** 2
            _add(to_centers[y], between, -push)
            _add(to_centers[j], between, push)
    moved = [list(c) for c in centers]
    for y in set(targets):
        own = [x[i] for i in range(size) if targets[i] == y]
        mean = [sum(column) / len(own) for column in zip(*own, strict=True)]
        scatter = sum(_squared(row, centers[y]) for row in own) / len(own)
        ratio = min(scale * scatter / spread[y], MAX_PULL / classes)
        step = alpha * len(own) / (1 + len(own))
        _add(moved[y], _minus(centers[y], mean), -step)
        for other in centers:
            _add(moved[y], _minus(centers[y], other), step * ratio)
    return {
        "value": value,
        "grad_embeddings": to_x,
        "grad_centers": to_centers,
        "centers_after_update": moved,
    }


def triplet(case: Case, margin: float, mining: str, distance: str, normalize: bool, average: str) -> Case:
    """Mean of max(0, d_ap - d_an + margin) over the triplets that the mining keeps."""
    x, targets = case["embeddings"], case["targets"]
    rows = [_unit(row) for row in x] if normalize else x
    root = sqrt if distance == "euclidean" else float
    d = [[root(_squared(a, b)) for b in rows] for a in rows]
    kept = [(a, p, n, d[a][p] - d[a][n] + margin) for a, p, n in _mine(d, targets, mining, margin)]
    active = [t for t in kept if t[3] > 0]
    by = len(active) if average == "active" else len(kept)
    to_rows = _zeros(rows)
    for a, p, n, _ in active:
        for other, sign in ((p, 1.0), (n, -1.0)):
            slope = 2.0 if distance == "squared" else (1 / d[a][other] if d[a][other] > 0 else 0.0)
            _add(to_rows[a], _minus(rows[a], rows[other]), sign * slope / by)
            _add(to_rows[other], _minus(rows[a], rows[other]), -sign * slope / by)
    if normalize:  # the derivative of x / ‖x‖
        for i, row in enumerate(to_rows):
            along = _dot(row, rows[i])
            to_rows[i] = [(g - along * u) / sqrt(_dot(x[i], x[i])) for g, u in zip(row, rows[i], strict=True)]
    return {"value": sum(t[3] for t in active) / by if active else 0.0, "grad_embeddings": to_rows}


FORMULAS = {
    "softmax": softmax,
    "weighted-softmax": weighted_softmax,
    "center": center,
    "weighted-cluster": weighted_cluster,
    "triplet": triplet,
}


def _weighted_rows(case: Case, weights: Vector, by: float) -> Case:
    value, gradient = 0.0, []
    for z, y, w in zip(case["logits"], case["targets"], weights, strict=True):
        total = sum(exp(entry - max(z)) for entry in z)
        value += w / by * (log(total) + max(z) - z[y])
        gradient.append([w / by * (exp(entry - max(z)) / total - (j == y)) for j, entry in enumerate(z)])
    return {"value": value, "grad_logits": gradient}


def _mine(d: Rows, targets: list[int], mining: str, margin: float) -> list[tuple[int, int, int]]:
    kept = []
    for a in range(len(targets)):
        positives = [p for p in range(len(targets)) if p != a and targets[p] == targets[a]]
        negatives = [n for n in range(len(targets)) if targets[n] != targets[a]]
        if mining == "hard" and positives and negatives:
            positives = [max(positives, key=lambda p: d[a][p])]
            negatives = [min(negatives, key=lambda n: d[a][n])]
        for p in positives:
            for n in negatives:
                if mining != "semihard" or d[a][p] < d[a][n] < d[a][p] + margin:
                    kept.append((a, p, n))
    return kept


def _class_weights(counts: list[int], power: float) -> Vector:
    raw = [n**-power for n in counts]
    scale = sum(counts) / sum(n * w for n, w in zip(counts, raw, strict=True))
    return [scale * w for w in raw]


def _zeros(rows: Rows) -> Rows:
    return [[0.0] * len(row) for row in rows]


def _minus(a: Vector, b: Vector) -> Vector:
    return [p - q for p, q in zip(a, b, strict=True)]


def _dot(a: Vector, b: Vector) -> float:
    return sum(p * q for p, q in zip(a, b, strict=True))


def _squared(a: Vector, b: Vector) -> float:
    return _dot(_minus(a, b), _minus(a, b))


def _unit(row: Vector) -> Vector:
    length = sqrt(_dot(row, row))
    return [entry / length for entry in row]


def _add(row: Vector, other: Vector, factor: float) -> None:
    for j, entry in enumerate(other):
        row[j] += factor * entry


def read_cases() -> list[Case]:
    """Return the cases of `cases.json`."""
    cases: list[Case] = json.loads(CASES.read_text())["cases"]
    return cases


def main() -> None:
    """Write `cases.json` again, one case per line."""
    made = [{key: case[key] for key in INPUTS} | {"centers": case["centers"]} | answers(case) for case in read_cases()]
    lines = ",\n".join(json.dumps(case) for case in made)
    CASES.write_text(f'{{"schema": 1, "dtype": "float64", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
