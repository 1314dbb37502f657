"""Class tables follow the classes, or their ranks where every seed makes other classes rare."""

from __future__ import annotations

import numpy as np
import pytest

from lossbench.verdict.class_table import class_table
from lossbench.verdict.entrants import Entrant
from lossbench.verdict.metric import BALANCED_ACCURACY, metric_named
from lossbench.verdict.references import references

NAMES = ("a", "b", "c")
TARGETS = np.repeat([0, 1, 2], 10)
ROTATING = {0: [100, 50, 5], 1: [5, 100, 50], 2: [50, 5, 100]}


def entrant(recall_by_rank: tuple[float, ...]) -> Entrant:
    """Runs that find each rank of their own seed with the same recall; errors are called the most frequent class."""
    predictions = {}
    for seed, counts in ROTATING.items():
        order = np.argsort(-np.array(counts))
        predicted = TARGETS.copy()
        for rank, number in enumerate(order.tolist()):
            missed = np.flatnonzero(number == TARGETS)[round(10 * recall_by_rank[rank]) :]
            predicted[missed] = order[0] if rank else order[1]
        predictions[seed] = predicted
    return Entrant("a", "a", "", predictions, dict.fromkeys(ROTATING, TARGETS), 3)


def test_rotating_classes_are_listed_by_rank() -> None:
    table = class_table(NAMES, dict.fromkeys(ROTATING, TARGETS), ROTATING)
    assert table.by_rank
    assert table.labels == ("rank 1", "rank 2", "rank 3")
    assert table.training == (100, 50, 5)
    assert table.test == (10, 10, 10)
    # By class every recall would be (1.0 + 0.8 + 0.2) / 3.
    assert table.recall(entrant((1.0, 0.8, 0.2))).tolist() == pytest.approx([1.0, 0.8, 0.2])
    matrix = table.confusion(entrant((1.0, 0.8, 0.2)))
    assert np.diagonal(matrix).tolist() == pytest.approx([1.0, 0.8, 0.2])
    assert matrix[2].tolist() == pytest.approx([0.8, 0.0, 0.2])


def test_fixed_classes_keep_their_names_though_counts_vary_a_little() -> None:
    near = {0: [100, 52, 50], 1: [100, 50, 51], 2: [99, 53, 50]}
    table = class_table(NAMES, dict.fromkeys(near, TARGETS), near)
    assert not table.by_rank
    assert table.labels == NAMES
    assert class_table(NAMES, {0: TARGETS}, {0: [5, 9, 7]}).labels == ("b", "c", "a")


def test_without_training_counts_classes_keep_their_order() -> None:
    table = class_table(NAMES, {0: TARGETS[:15]}, None)
    assert table.training is None
    assert table.labels == NAMES
    assert table.test == (10, 5, 0)


def test_references_are_what_guessing_gives() -> None:
    draw = np.random.default_rng(0)
    targets = draw.choice(3, 60, p=(0.6, 0.3, 0.1))
    prior = np.array([0.7, 0.2, 0.1])
    for metric in (BALANCED_ACCURACY, metric_named("accuracy")):
        found = dict(references(targets, 3, metric, list(prior)))
        guesses = [metric.of(draw.choice(3, 60, p=prior), targets, 3) for _ in range(4000)]
        assert found["prior only"] == pytest.approx(np.mean(guesses), abs=0.01)
        assert found["constant answer"] == max(metric.of(np.full(60, c), targets, 3) for c in range(3))
