"""Decision rules, attribution, calibration and geometry, on cases small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import made_record

from lossbench.runs.grid_file import GridCell
from lossbench.runs.history import HistoryRow
from lossbench.runs.predictions import Predictions, SplitPredictions
from lossbench.verdict.attribution import shapley, split_gain
from lossbench.verdict.carried_prior import carried_prior
from lossbench.verdict.cost import cost, named_target, seconds_to
from lossbench.verdict.rare_classes import classwise_calibration, geometry, reliability
from lossbench.verdict.thresholds import balanced_accuracy, best_shift, priors, recalls, shifted, thresholds

FREQUENCY = np.array([0.7, 0.2, 0.1])


def gaussian_scores(targets: np.ndarray, draw: np.random.Generator, prior: np.ndarray) -> np.ndarray:
    """Bayes scores of classes at the corners of a triangle, for a training set of that prior."""
    corners = 1.2 * np.array([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])
    points = corners[targets] + draw.standard_normal((len(targets), 2))
    return np.asarray(points @ corners.T + np.log(prior))


def test_scores_that_carry_the_frequencies_are_best_shifted_by_tau_1() -> None:
    draw = np.random.default_rng(0)
    targets, selection = (np.repeat([0, 1, 2], 3000) for _ in range(2))
    scores, chosen = (gaussian_scores(t, draw, FREQUENCY) for t in (targets, selection))
    found = thresholds(
        Predictions(
            test=SplitPredictions(scores, targets),
            selection=SplitPredictions(chosen, selection),
            refit_scores=shifted(scores, FREQUENCY, 1.0),
        ),
        1000 * FREQUENCY,
        plain=True,
    )
    assert found.tau == pytest.approx(1.0, abs=0.1)
    assert found.tau_1 is not None
    assert found.tau_1 > found.as_trained + 0.05
    assert found.tuned == pytest.approx(found.tau_1, abs=0.01)
    assert found.refit == found.tau_1
    assert found.sweep["uniform"] == pytest.approx((found.as_trained, found.tuned))
    assert found.best_shift >= max(found.tau_1, found.as_trained)
    for plain, adjusted in found.sweep.values():
        assert adjusted is not None
        assert adjusted >= plain - 0.005  # who knows the prior does at least as well


@given(st.integers(0, 2**32 - 1))
def test_the_best_shift_is_that_of_a_fine_grid(seed: int) -> None:
    draw = np.random.default_rng(seed)
    targets, frequency = draw.integers(0, 4, 30), draw.dirichlet(np.ones(4)) * 0.9 + 0.025
    scores = 2 * draw.standard_normal((30, 4)) + np.eye(4)[targets]
    grid = [balanced_accuracy(shifted(scores, frequency, tau), targets) for tau in np.linspace(-1, 3, 800)]
    best = best_shift(scores, targets, frequency)
    assert max(grid) <= best + 1e-9
    assert best - max(grid) < 0.1  # a few images between two points of the grid


def test_without_a_selection_split_no_prior_is_measured() -> None:
    found = thresholds(Predictions(SplitPredictions(np.eye(3), np.arange(3))), [5, 3, 2], plain=False)
    assert (found.tau_1, found.tau, found.tuned, found.refit, found.control) == (None,) * 5
    assert found.as_trained == 1.0
    assert all(adjusted is None for _, adjusted in found.sweep.values())


COUNTS = np.array([1869, 1041, 354, 346, 196, 89, 53, 52])


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_a_planted_prior_is_measured_and_the_shift_by_it_is_near_the_best(tau: float) -> None:
    """Bayes scores of 8 classes in AffectNet's proportions, a tenth of the training images held out."""
    rng = np.random.default_rng(int(10 * tau))

    def scores(targets: np.ndarray) -> np.ndarray:
        x = 2 * np.eye(8)[targets] + rng.standard_normal((len(targets), 8))
        return np.asarray(2 * x + tau * np.log(COUNTS))

    selection, test = np.repeat(np.arange(8), COUNTS // 10), np.repeat(np.arange(8), 300)
    found = thresholds(
        Predictions(SplitPredictions(scores(test), test), SplitPredictions(scores(selection), selection)),
        COUNTS,
        plain=False,
    )
    assert found.tau == pytest.approx(tau, abs=0.35)
    assert found.tuned is not None
    assert found.best_shift - found.tuned < 0.015


def test_a_class_without_held_out_images_leaves_the_prior_open() -> None:
    scores, targets = np.random.default_rng(0).standard_normal((20, 3)), np.repeat([0, 1], 10)
    assert carried_prior(scores, targets, [100, 10, 1]) is None
    assert carried_prior(scores[:, :2], targets, [10, 10]) is None  # equal counts say nothing of a power


@given(st.integers(0, 2**32 - 1))
def test_the_test_priors_weigh_recalls(seed: int) -> None:
    draw = np.random.default_rng(seed)
    targets, scores = draw.permutation(np.repeat(np.arange(3), 4)), draw.standard_normal((12, 3))
    found = thresholds(Predictions(SplitPredictions(scores, targets)), 100 * FREQUENCY, plain=True)
    recall = recalls(scores.argmax(axis=1), targets, 3)
    assert found.sweep["training-like"][0] == pytest.approx(recall @ FREQUENCY)
    assert found.sweep["reversed"][0] == pytest.approx(recall @ FREQUENCY[::-1])
    assert found.as_trained == pytest.approx(recall.mean())


def test_reversed_priors_exchange_ranks() -> None:
    made = priors(np.array([0.5, 0.05, 0.15, 0.3]))
    assert made["reversed"].tolist() == [0.05, 0.5, 0.3, 0.15]
    assert all(prior.sum() == pytest.approx(1) for prior in made.values())


def test_classes_without_images_are_left_out_of_the_mean() -> None:
    assert balanced_accuracy(np.eye(3)[[0, 0, 1]], np.array([0, 1, 1])) == 0.75
    assert np.isnan(recalls(np.array([0]), np.array([0]), 2)[1])


# --- attribution -----------------------------------------------------------------------------------------------------

values = st.floats(0, 1, allow_nan=False)


@given(st.lists(values, min_size=8, max_size=8))
def test_the_parts_of_a_gain_sum_to_it(reached: list[float]) -> None:
    names = ("loss", "sampler", "threshold")
    sets = [frozenset(n for n, on in zip(names, f"{i:03b}", strict=True) if on == "1") for i in range(8)]
    value = dict(zip(sets, reached, strict=True))
    parts = shapley(names, value)
    assert sum(parts.values()) == pytest.approx(value[frozenset(names)] - value[frozenset()])


def test_a_factor_that_does_nothing_gets_nothing() -> None:
    value = {frozenset(): 0.5, frozenset("a"): 0.7, frozenset("b"): 0.5, frozenset("ab"): 0.7}
    assert shapley("ab", value) == pytest.approx({"a": 0.2, "b": 0.0})


def test_a_gain_that_a_threshold_gives_as_well_is_prior_shift() -> None:
    split = split_gain((0.80, 0.81, 0.82), (0.70, 0.81, 0.80))
    assert split == pytest.approx((0.10, 0.10, 0.0, 0.02))


# --- the tail --------------------------------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    """Two of three right at a confidence of 0.9, and one wrong at 0.6."""
    scores = np.log(np.array([[0.9, 0.1]] * 3 + [[0.6, 0.4]]))
    targets = np.array([0, 0, 1, 1])
    found = reliability([(scores[:1], targets[:1]), (scores[1:], targets[1:])])
    assert found.images.tolist() == [1, 3]
    assert found.accuracy.tolist() == pytest.approx([0, 2 / 3])
    assert found.confidence.tolist() == pytest.approx([0.6, 0.9])


def test_a_calibrated_model_has_the_error_that_chance_gives() -> None:
    """Labels are drawn from the model's own probabilities."""
    rng = np.random.default_rng(0)
    scores = 2 * rng.standard_normal((4000, 8)) + np.log(COUNTS / COUNTS.sum())
    probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    targets = (probability.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    found = classwise_calibration(scores, targets)
    np.testing.assert_allclose(found.error, found.null, atol=0.012)
    sharp = classwise_calibration(2 * scores, targets)
    assert sharp.error[0] > 3 * sharp.null[0]


def test_geometry_is_scale_free() -> None:
    draw = np.random.default_rng(0)
    x, targets = draw.standard_normal((30, 4)), np.repeat([0, 1, 3], 10)
    one, other = geometry(x, targets, 4), geometry(7 * x, targets, 4)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.scatter, other.scatter)
    assert np.isnan(one.scatter[2])
    assert other.spacing == pytest.approx(7 * one.spacing)
    assert geometry(x, np.zeros(30, dtype=int), 4) is None
    assert geometry(np.zeros((30, 4)), targets, 4) is None


# --- cost ------------------------------------------------------------------------------------------------------------


def test_time_to_an_accuracy_that_all_reach() -> None:
    def history(*scores: float | None) -> list[HistoryRow]:
        return [
            HistoryRow(epoch=n, loss=1.0, seconds=2.0, selection_balanced_accuracy=score)
            for n, score in enumerate(scores)
        ]

    histories = [history(0.3, 0.625, 0.5), history(0.7, 0.8)]
    target = named_target(histories)
    assert target == 0.62
    record = made_record(GridCell(loss="softmax", sampler="natural", seed=0, name="run"))
    found = cost([record, record], histories, target)
    assert (found.reached, found.seconds_to_target) == (2, 3.0)
    assert seconds_to(histories[0], 0.9) is None
    assert named_target([history(None)]) is None
