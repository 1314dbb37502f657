"""The verdict's statistics against scipy, against figures computed by hand, and against simulation."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lossbench.verdict.best_of_trials import best_of_curve
from lossbench.verdict.score_interval import score_interval
from lossbench.verdict.self_test import (
    coverage,
    coverage_of_one,
    false_alarms,
    followed_advice,
    power,
    power_of_paired_t,
)
from lossbench.verdict.simulation import Setting
from lossbench.verdict.statistics import ALPHA, groups, holm, paired_t

numbers = st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 6))


@given(st.lists(numbers, min_size=2, max_size=12).filter(lambda v: np.std(v) > 1e-6))
def test_differences_are_tested_as_scipy_does(values: list[float]) -> None:
    mine, theirs = paired_t(values), stats.ttest_1samp(values, 0)
    if np.mean(values) != 0:
        assert float(mine.p) == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)
    interval = theirs.confidence_interval(0.95)
    assert float(mine.mean - mine.half_width()) == pytest.approx(interval.low, abs=1e-12)
    assert float(mine.mean + mine.half_width()) == pytest.approx(interval.high, abs=1e-12)


def test_equal_runs_are_no_evidence() -> None:
    same = paired_t([0.0, 0.0, 0.0])
    assert (float(same.p), float(same.half_width())) == (1.0, 0.0)
    assert float(paired_t([0.5, 0.5, 0.5]).p) == 1.0  # three equal differences are no certainty


def test_holm_by_hand() -> None:
    # Holm (1979): sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1, and never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([[0.5, 0.9]]).tolist() == [[1.0, 1.0]]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_holm_lies_between_the_plain_value_and_bonferroni_s(p: list[float]) -> None:
    adjusted, plain = holm(p), np.array(p)
    assert (adjusted >= plain).all()
    assert (adjusted <= np.minimum(plain * len(p), 1) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(plain, kind="stable")]) >= 0).all()


@given(st.sets(st.sampled_from([frozenset(pair) for pair in combinations("abcdef", 2)])))
def test_groups_hold_every_pair_that_does_not_differ_and_no_other(different: set[frozenset[str]]) -> None:
    made = groups("abcdef", different)
    together = {frozenset(pair) for group in made for pair in combinations(group, 2)}
    assert together == {frozenset(pair) for pair in combinations("abcdef", 2)} - different
    assert {name for group in made for name in group} == set("abcdef")
    assert not [(a, b) for a in made for b in made if set(a) < set(b)]


# --- test images -----------------------------------------------------------------------------------------------------


def test_the_resolution_of_eight_classes_of_500_images() -> None:
    """At a recall of 0.6 the standard error of balanced accuracy is 0.77 points."""
    values = np.tile(np.repeat([1.0, 0.0], [300, 200]), 8)
    low, high = score_interval(values[None], np.repeat(np.arange(8), 500))
    assert high - low == pytest.approx(2 * 1.96 * 0.0077, rel=0.05)


def test_one_test_image_leaves_the_recall_open() -> None:
    low, high = score_interval(np.array([[1.0]]), np.array([0]))
    assert low < 0.3
    assert high == 1.0


@pytest.mark.parametrize("images", [1, 2, 6, 40])
def test_the_interval_of_one_class_covers_its_recall(images: int) -> None:
    """Exactly, over all numbers of hits; 0.6 is not a favourable recall for few images."""
    targets = np.zeros(images, dtype=np.int64)
    covered = 0.0
    for hits in range(images + 1):
        low, high = score_interval(np.repeat([1.0, 0.0], [hits, images - hits])[None], targets)
        covered += stats.binom.pmf(hits, images, 0.6) * (low <= 0.6 <= high)
    assert covered >= 0.92


# --- the self-test ---------------------------------------------------------------------------------------------------


SETTINGS = {
    "3 seeds, few images": Setting(counts=(10,) * 4, seeds=3, accuracy=0.95, seed_sd=0),
    "interaction": Setting(counts=(20,) * 8, seeds=10, seed_sd=0.007, own_share=0.3),
    "tiny classes": Setting(counts=(1, 2, 19, 80), accuracy=0.6),
    "heavy tails": Setting(counts=(25,) * 8, heavy_tails=True),
    "diverging runs": Setting(counts=(25,) * 8, diverging=0.1),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_verdict_raises_no_more_false_alarms_than_it_promises(setting: Setting) -> None:
    """Some 150 comparisons each; `benchmarks/verdict_calibration.py` simulates 2,000."""
    low, _ = false_alarms(setting, 150).interval
    assert low <= ALPHA


def test_larger_differences_are_found_more_often_and_planned_ones_most() -> None:
    setting = Setting(counts=(50,) * 4, losses=3)
    small, large = (power(replace(setting, planted=planted), 300).value for planted in (0.02, 0.10))
    assert small < large
    assert (
        power(replace(setting, planted=0.05), 300, planned=True).value
        > power(replace(setting, planted=0.05), 300).value
    )


def test_the_paired_t_at_equal_level_raises_as_many_false_alarms() -> None:
    setting = Setting(counts=(100,) * 2, losses=2, seeds=3, own_share=0.3, seed_sd=0.03)
    level = false_alarms(setting, 1000).value
    assert power_of_paired_t(setting, 100).value == pytest.approx(level, abs=0.03)  # without a difference
    planted = replace(setting, planted=0.3)
    assert level < power_of_paired_t(planted, 100).value <= power(planted, 100).value


def test_intervals_cover_the_truth() -> None:
    setting = Setting(counts=(30,) * 4, losses=2, own_share=0.3, planted=0.05)
    assert coverage(setting, 300).interval[1] >= 0.95
    assert coverage_of_one(Setting(counts=(2,) * 4, accuracy=0.6), 300).interval[1] >= 0.92


def test_adding_seeds_after_a_look_raises_few_false_alarms() -> None:
    assert followed_advice(Setting(counts=(25,) * 4, losses=3), (3, 5, 8), 300).interval[0] <= 0.06


# --- tuning ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_expected_best_of_k_rises_from_the_mean_towards_the_best(scores: list[float]) -> None:
    curve = best_of_curve(scores)
    assert len(curve) == len(scores)
    assert curve[0] == pytest.approx(np.mean(scores))
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[-1] <= max(scores) + 1e-12


def test_the_expected_best_of_two_by_hand() -> None:
    pairs = [max(a, b) for a in (0.2, 0.5, 0.8) for b in (0.2, 0.5, 0.8)]
    assert best_of_curve([0.8, 0.2, 0.5])[1] == pytest.approx(np.mean(pairs))
