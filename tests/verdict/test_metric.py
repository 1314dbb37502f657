"""Metrics equal scikit-learn's, and their names are the only ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from lossbench.errors import ConfigError
from lossbench.verdict.metric import METRICS, Metric, metric_named

ORACLES = {
    "balanced-accuracy": lambda t, p, labels: recall_score(t, p, labels=labels, average="macro", zero_division=0.0),
    "accuracy": lambda t, p, labels: accuracy_score(t, p),
    "macro-f1": lambda t, p, labels: f1_score(t, p, labels=labels, average="macro", zero_division=0.0),
}


@pytest.mark.parametrize("metric", METRICS, ids=[metric.key for metric in METRICS])
@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_metrics_equal_scikit_learn(metric: Metric, pairs: list[tuple[int, int]]) -> None:
    targets, predicted = map(np.array, zip(*pairs, strict=True))
    value = metric.of(predicted, targets, 7)
    assert value == pytest.approx(ORACLES[metric.key](targets, predicted, np.unique(targets)))


def test_an_unknown_metric_is_refused() -> None:
    assert metric_named("macro-f1").name == "macro F1"
    assert metric_named("accuracy").title == "Accuracy"
    with pytest.raises(ConfigError, match=r"--metric f2: expected one of balanced-accuracy, accuracy, macro-f1"):
        metric_named("f2")
