"""Every sentence of random comparisons is derived again from their numbers; questions, looks and margins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbench.errors import ConfigError
from lossbench.verdict.budgets import budget_content, budget_text, parse_budgets
from lossbench.verdict.contradictions import contradictions
from lossbench.verdict.entrants import Entrant
from lossbench.verdict.families import planned
from lossbench.verdict.judge import judge_entrants
from lossbench.verdict.looks import level_of_look
from lossbench.verdict.metric import METRICS, Metric
from lossbench.verdict.questions import Questions, read_questions
from lossbench.verdict.random_comparisons import random_comparison
from lossbench.verdict.records import Records
from lossbench.verdict.sentences import sentences, verdict_words


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_no_sentence_contradicts_a_number(seed: int) -> None:
    assert contradictions(random_comparison(seed)) == []


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_the_order_of_losses_changes_no_claim(seed: int) -> None:
    comparison = random_comparison(seed)
    everyone = list(reversed(comparison.entrants))
    records = dataclasses.replace(comparison.records, losses=tuple(reversed(comparison.records.losses)))
    other = judge_entrants(records, everyone, questions=comparison.questions)
    verdicts = [{frozenset((p.first, p.second)): p.verdict for p in c.pairs} for c in (comparison, other)]
    assert verdicts[0] == verdicts[1]


def made(accuracies: dict[str, list[float | None]], images: int = 250, classes: int = 4) -> list[Entrant]:
    """Entrants of these balanced accuracies, one per seed; None diverged."""
    targets = np.repeat(np.arange(classes), images)
    found = []
    for loss, row in accuracies.items():
        predictions = {
            seed: np.where(np.tile(np.arange(images) < round(a * images), classes), targets, (targets + 1) % classes)
            for seed, a in enumerate(row)
            if a is not None
        }
        diverged = frozenset(seed for seed, a in enumerate(row) if a is None)
        found.append(
            Entrant(loss, loss, "natural", predictions, dict.fromkeys(predictions, targets), classes, diverged=diverged)
        )
    return found


def words(accuracies: dict[str, list[float | None]], questions: Questions | None = None, classes: int = 4) -> list[str]:
    records = Records(Path("made"), tuple(accuracies), ("natural",), (), (), None)
    comparison = judge_entrants(records, made(accuracies, classes=classes), questions=questions)
    assert contradictions(comparison) == []
    return verdict_words(comparison)


def test_survivors_of_divergence_do_not_win() -> None:
    told = words({"A": [0.80, 0.81, 0.79, 0.80, 0.80], "D": [0.86, 0.87, 0.853, None, None]})
    assert told[0] == "Take A; D diverged in 2 of 5 seeds"
    assert "D is ahead" not in " ".join(told)


def test_a_collapsed_seed_is_named() -> None:
    told = words({"A": [0.80, 0.81, 0.79, 0.80, 0.80], "F": [0.90, 0.912, 0.892, 0.904, 0.252]})
    assert told[0] == "Take A; F collapsed in 1 of 5 seeds"
    assert told[1] == "F collapsed in seed 4 (25.2 %; median of the others 90.2 %)."


@pytest.mark.parametrize("row", [[0.9, 0.91, 0.252, 0.248, 0.25], [0.9, 0.91, 0.25], [0.9, 0.25]])
def test_runs_at_chance_are_named_whatever_their_number(row: list[float | None]) -> None:
    told = words({"A": [0.30, 0.31, 0.29, 0.30, 0.30][: len(row)], "F": row})
    assert "F collapsed in" in told[0] + told[1]
    assert not any(text.startswith("F is ahead") for text in told)


def test_losses_at_chance_are_said_to_be() -> None:
    told = words({"softmax": [0.136, 0.12, 0.128], "weighted-cluster": [0.128, 0.136, 0.12]}, classes=8)
    assert told[0] == "Not yet: no loss beats a constant answer"


def test_a_loss_with_too_few_seeds_silences_nobody() -> None:
    told = " ".join(words({"A": [0.80, 0.81, 0.79, 0.80, 0.80], "B": [0.70, 0.71, 0.692, 0.70, 0.70],
                           "E": [0.5, 0.5, None, None, None]}))  # fmt: skip
    assert "A is ahead of B by 9.9 points" in told


def test_equal_losses_print_no_resolution_of_zero() -> None:
    assert not any("0.0 points" in text for text in words({name: [0.8] * 3 for name in "ABC"}))


def test_a_planned_claim_is_reported_first_and_pays_for_itself_alone() -> None:
    rng = np.random.default_rng(0)
    rows: dict[str, list[float | None]] = {
        n: list(0.8 + 0.02 * (n == "b") + 0.006 * rng.standard_normal(5)) for n in "abcdefg"
    }
    told = words(rows, read_questions(["b > a"]))
    assert told[0] == "Claim shown: b > a"
    assert told[1].startswith("Planned claim b > a: shown, +")
    (pair,) = planned([tuple(made({n: rows[n] for n in "ba"}))])  # type: ignore[list-item]
    assert pair.family == 1


def test_a_margin_turns_not_shown_into_equal() -> None:
    rows: dict[str, list[float | None]] = {"a": [0.8, 0.804, 0.8, 0.796, 0.8], "b": [0.8, 0.8, 0.804, 0.8, 0.796]}
    assert words(rows)[0] == "No loss is shown to be better"
    assert words(rows, read_questions(equal_within=3))[0] == "Any of these two, within 3 points"


def test_later_looks_have_lower_levels() -> None:
    levels = [level_of_look(looks, 0.05, 10) for looks in ([5], [5, 8], [5, 8, 12], [5, 8, 12, 20])]
    assert levels[0] == 0.05
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] > 0.0005


@pytest.mark.parametrize(
    ("claims", "margin", "message"),
    [
        (["a"], None, "expected two losses with > between them"),
        (["a > a"], None, "expected two different losses"),
        (["a > b", "b > a"], None, "this pair of losses is claimed twice"),
        ([], 0.0, "--equal-within must be a number of points above 0"),
        ([], float("nan"), "--equal-within must be a number of points"),
    ],
)
def test_malformed_questions_are_refused(claims: list[str], margin: float | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_questions(claims, equal_within=margin)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.key)
def test_values_of_images_give_the_variance_of_the_metric(metric: Metric) -> None:
    """Against a bootstrap of the images within their classes."""
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [60, 200, 140])
    predicted = np.where(rng.random(400) < 0.7, targets, rng.integers(0, 3, 400))
    values, weights = metric.values(predicted, targets, 3), metric.weights(targets)
    expected = sum(w**2 * values[targets == c].var() / (targets == c).sum() for c, w in enumerate(weights))
    rows = [np.flatnonzero(targets == c) for c in range(3)]
    scores = []
    for _ in range(1500):
        chosen = np.concatenate([rng.choice(own, len(own)) for own in rows])
        scores.append(metric.of(predicted[chosen], targets[chosen], 3))
    assert np.var(scores) == pytest.approx(expected, rel=0.15)


def test_the_first_sentence_is_a_decision_in_twelve_words() -> None:
    for seed in range(20):
        first = sentences(random_comparison(seed))[0]
        assert first.kind == "decision"
        assert len(first.text.split()) <= 12


@pytest.mark.parametrize("text", ["3", "x", "0x", "-1x", "nanx", "1x,,3x", "1x,1x", "1000x"])
def test_a_malformed_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--budgets"):
        parse_budgets(text)


def test_a_budget_says_which_verdicts_it_changes() -> None:
    far: dict[str, list[float | None]] = {"a": [0.8, 0.81, 0.79, 0.8, 0.8], "b": [0.6, 0.61, 0.6, 0.59, 0.6]}
    near: dict[str, list[float | None]] = {"a": [0.8, 0.81, 0.79, 0.8, 0.8], "b": [0.81, 0.8, 0.8, 0.79, 0.8]}
    records = Records(Path("made"), ("a", "b"), ("natural",), (), (), None)
    base, longer = (judge_entrants(records, made(rows)) for rows in (far, near))
    content = budget_content("3x", 36, base, longer)
    assert content["changed"] == [{"first": content["changed"][0]["first"],
                                   "second": content["changed"][0]["second"],
                                   "before": "differ", "now": "not-shown"}]  # fmt: skip
    assert "The verdict on 1 pair(s) changes" in budget_text(content)
    assert "Every pair's verdict holds." in budget_text(budget_content("3x", 36, base, base))
