"""Metrics against hand-computed values, and what is undefined becoming None."""

from __future__ import annotations

import json
import tracemalloc
import warnings

import krippendorff
import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from lossbench.harness.evaluation import training_fit as training_fit_module
from lossbench.harness.evaluation.metrics import classification_metrics, retrieval_quality, wilson_interval
from lossbench.harness.evaluation.refit import refit_rows
from lossbench.runs.predictions import SplitPredictions

NAMES = ("a", "b", "c")
# True classes and what is predicted: a is right 3 of 4 times, b 1 of 2, c 2 of 2.
TARGETS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 2, 2, 2])


def one_hot(predicted: npt.NDArray[np.int64], classes: int = 3) -> npt.NDArray[np.float64]:
    scores: npt.NDArray[np.float64] = np.eye(classes)[predicted]
    return scores


def test_metrics_equal_those_computed_by_hand() -> None:
    metrics = classification_metrics(one_hot(PREDICTED), TARGETS, NAMES)
    assert metrics["confusion_matrix"] == [[3, 1, 0], [0, 1, 1], [0, 0, 2]]  # rows true, columns predicted
    assert metrics["per_class_recall"] == {"a": 0.75, "b": 0.5, "c": 1.0}
    assert metrics["balanced_accuracy"] == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert metrics["accuracy"] == 6 / 8
    # F1 = 2 tp / (2 tp + fp + fn): a 6/7, b 2/4, c 4/5.
    assert metrics["macro_f1"] == pytest.approx((6 / 7 + 1 / 2 + 4 / 5) / 3)
    # Chance agreement: (4*3 + 2*2 + 2*3) / 64.
    assert metrics["cohen_kappa"] == pytest.approx((6 / 8 - 22 / 64) / (1 - 22 / 64))
    # Nominal alpha: 2 of 8 pairs differ; of the 16 values 7, 4 and 5 are of each kind.
    expected_difference = 2 * (7 * 4 + 7 * 5 + 4 * 5) / (16 * 15)
    assert metrics["krippendorff_alpha"] == pytest.approx(1 - (2 / 8) / expected_difference)
    assert metrics["absent_classes"] == []


@given(pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40))
def test_alpha_equals_the_library_s(pairs: list[tuple[int, int]]) -> None:
    targets, predicted = np.array(pairs).T
    metrics = classification_metrics(one_hot(predicted, 5), targets, tuple("abcde"))
    if len(np.union1d(targets, predicted)) < 2:
        assert metrics["krippendorff_alpha"] is None
    else:
        expected = krippendorff.alpha(np.stack([targets, predicted]), level_of_measurement="nominal")
        assert metrics["krippendorff_alpha"] == pytest.approx(expected)


@given(
    draw=st.integers(0, 2**32 - 1),
    images=st.integers(1, 40),
    classes=st.integers(2, 6),
    decimals=st.sampled_from([0, 8]),
)
def test_metrics_equal_those_of_scikit_learn(draw: int, images: int, classes: int, decimals: int) -> None:
    generator = np.random.default_rng(draw)
    scores = generator.normal(0, 2, (images, classes)).round(decimals)  # whole scores tie
    targets = generator.integers(0, classes, images)
    predicted, present = scores.argmax(axis=1), np.unique(targets)
    metrics = classification_metrics(scores, targets, tuple(map(str, range(classes))))
    of_labels = {"labels": present, "average": "macro", "zero_division": 0.0}
    assert metrics["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(targets, predicted, **of_labels))
    assert metrics["balanced_accuracy"] == pytest.approx(
        sklearn.metrics.recall_score(targets, predicted, labels=present, average="macro")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an undefined kappa is NaN there
        kappa = sklearn.metrics.cohen_kappa_score(targets, predicted, labels=np.arange(classes))
    assert metrics["cohen_kappa"] == (pytest.approx(kappa) if np.isfinite(kappa) else None)
    probabilities = scipy.special.softmax(scores, axis=1)
    rankable = [c for c in present if (targets == c).sum() < images]
    for name, score in (
        ("auroc", sklearn.metrics.roc_auc_score),
        ("average_precision", sklearn.metrics.average_precision_score),
    ):
        expected = [score(targets == c, probabilities[:, c]) for c in rankable]
        assert metrics[name] == (pytest.approx(np.mean(expected)) if expected else None)


def test_ranking_in_blocks_equals_ranking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    scores, targets = generator.normal(size=(50, 7)), generator.integers(0, 7, 50)
    names = tuple("abcdefg")
    whole = classification_metrics(scores, targets, names)
    monkeypatch.setattr("lossbench.harness.evaluation.metrics._BLOCK", 100)  # two classes at a time
    assert classification_metrics(scores, targets, names) == whole


def test_memory_beyond_the_scores_grows_with_classes_and_not_with_their_square() -> None:
    peaks = []
    for classes in (10_000, 40_000):
        generator = np.random.default_rng(0)
        scores = generator.standard_normal((32, classes), dtype=np.float32)
        targets, names = generator.integers(0, classes, 32), tuple(map(str, range(classes)))
        tracemalloc.start()
        assert classification_metrics(scores, targets, names)["auroc"] is not None
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 5 * peaks[0]
    assert peaks[1] < 100 * 2**20  # a matrix of 40,000 x 40,000 numbers would take 12,800 MB


def test_of_a_thousand_people_and_more_there_is_no_confusion_matrix() -> None:
    people = 1001
    metrics = classification_metrics(
        one_hot(np.arange(people), people), np.arange(people), tuple(map(str, range(people)))
    )
    assert metrics["confusion_matrix"] is None
    assert metrics["balanced_accuracy"] == metrics["accuracy"] == metrics["krippendorff_alpha"] == 1


def test_ranking_metrics_are_means_over_one_against_the_rest() -> None:
    # Probability of class 1 rises with the score: of the four pairs (one of each class) three are in order.
    scores = np.array([[0.0, 0.1], [0.0, 0.4], [0.0, 0.3], [0.0, 0.8]])
    metrics = classification_metrics(scores, np.array([0, 0, 1, 1]), ("no", "yes"))
    assert metrics["auroc"] == pytest.approx(3 / 4)
    # Precision at each hit: "yes" at ranks 1 and 3, "no" (from the other end) also at 1 and 3.
    assert metrics["average_precision"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_without_images_is_left_out_and_named() -> None:
    metrics = classification_metrics(one_hot(np.array([0, 0, 1, 2])), np.array([0, 0, 1, 1]), NAMES)
    assert metrics["absent_classes"] == ["c"]
    assert metrics["per_class_recall"] == {"a": 1.0, "b": 0.5, "c": None}
    assert metrics["per_class_recall_interval_95"]["c"] is None
    assert metrics["balanced_accuracy"] == 0.75
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("predicted", "targets"),
    [([1, 1, 1], [0, 1, 2]), ([1, 1, 1], [1, 1, 1]), ([0], [0])],
    ids=["one class predicted", "one class alone", "one image"],
)
def test_what_is_undefined_is_null_and_never_nan(predicted: list[int], targets: list[int]) -> None:
    metrics = classification_metrics(one_hot(np.array(predicted)), np.array(targets), NAMES)
    text = json.dumps(metrics, allow_nan=False)
    assert json.loads(text)["confusion_matrix"] == metrics["confusion_matrix"]
    if len(set(targets)) == 1:
        assert metrics["auroc"] is metrics["average_precision"] is metrics["krippendorff_alpha"] is None
        assert metrics["cohen_kappa"] is None
    else:
        assert metrics["balanced_accuracy"] == pytest.approx(1 / 3)
        assert metrics["auroc"] == 0.5


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # By z = 1.959964: (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n); the first is Newcombe's (1998) example.
    [(81, 263, 0.2553, 0.3662), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 2, 0.0945, 0.9055)],
)
def test_wilson_intervals_equal_published_ones(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_there_is_no_interval_without_a_trial() -> None:
    assert wilson_interval(0, 0) is None


def naive_map_at_r(embeddings: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """Musgrave et al. 2020: mean over queries of 1/R sum_{i <= R} precision at i where the i-th neighbour is right."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    values = []
    for query in range(len(targets)):
        relevant = int((targets == targets[query]).sum()) - 1
        if not relevant:
            continue
        order = [row for row in np.argsort(-unit @ unit[query], kind="stable") if row != query][:relevant]
        right = [targets[row] == targets[query] for row in order]
        values.append(sum(np.mean(right[: i + 1]) for i in range(relevant) if right[i]) / relevant)
    return float(np.mean(values))


def test_map_at_r_equals_a_naive_loop() -> None:
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 4, 60)
    targets[7] = 4  # alone in its class: no neighbour to find
    embeddings = draw.normal(size=(60, 5)) + np.eye(5)[targets] * 1.5
    quality = retrieval_quality(embeddings, targets)
    assert quality["retrieval_images"] == 60
    assert quality["mean_average_precision_at_r"] == pytest.approx(naive_map_at_r(embeddings, targets), abs=1e-6)
    assert 0.2 < quality["mean_average_precision_at_r"] < 0.9


def test_map_at_r_is_one_for_separated_classes_and_undefined_without_pairs() -> None:
    targets = np.repeat([0, 1], 5)
    assert retrieval_quality(np.eye(2)[targets], targets)["mean_average_precision_at_r"] == 1
    assert retrieval_quality(np.eye(3), np.arange(3))["mean_average_precision_at_r"] is None


def test_training_images_are_few_with_very_many_classes() -> None:
    targets = np.repeat(np.arange(300), [2, 3, 1] * 100)
    rows = refit_rows(targets, seed=0, most=50)
    assert len(np.unique(targets[rows])) == len(rows) == 50
    assert rows.tolist() == sorted(rows.tolist()) == refit_rows(targets, seed=0, most=50).tolist()
    assert rows.tolist() != refit_rows(targets, seed=1, most=50).tolist()
    assert len(refit_rows(targets, seed=0, most=300)) == 300


def test_the_fit_of_training_images_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    seen = SplitPredictions(scores=draw.normal(size=(23, 5)).astype(np.float32), targets=draw.integers(0, 5, 23))
    whole = training_fit_module.training_fit(seen)
    monkeypatch.setattr(training_fit_module, "_BLOCK", 20)
    assert training_fit_module.training_fit(seen) == whole
