"""Advice: longer training before more seeds, and seeds planned from a margin, never from the effect seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import make_records

from lossbench.runs.history import HistoryRow
from lossbench.runs.record import TrainingFit
from lossbench.verdict.advice import detectable, seeds_for, with_seeds
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.contradictions import contradictions
from lossbench.verdict.judge import judge
from lossbench.verdict.questions import Questions
from lossbench.verdict.records import Records, read_records
from lossbench.verdict.sentences import sentences
from lossbench.verdict.simulation import Setting, errors
from lossbench.verdict.training_sentences import share_of_fall


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    grid: Path = make_records(
        tmp_path_factory.mktemp("advice") / "grid", {"softmax": 0.5, "center": 0.5}, seeds=3, images=160
    )
    return read_records(grid)


def told(comparison: Comparison, kind: str) -> str:
    assert contradictions(comparison) == []
    return " ".join(s.text for s in sentences(comparison) if s.kind == kind)


def changed(records: Records, **fields: Any) -> Records:
    """Return the records with another history, or another fit of the training images, of every run."""
    fit = fields.pop("training", None)
    runs = [replace(run, record=replace(run.record, training=fit), **fields) for run in records.runs]
    return replace(records, runs=tuple(runs))


def test_seeds_are_planned_from_the_margin_that_the_user_names(records: Records) -> None:
    assert told(judge(records), "advice") == (
        "To plan more seeds, name the difference that matters (--equal-within POINTS)."
    )
    text = told(judge(records, questions=Questions(margin=0.03)), "advice")
    assert text.startswith("To detect the margin, a difference of 3 points, with 80 % power, run about ")
    assert "(now 3)" in text
    assert "no more are needed" in told(judge(records, questions=Questions(margin=0.9)), "advice")
    text = told(judge(records, questions=Questions(margin=0.0001)), "advice")
    assert "Add test images, or name a larger margin" in text


def test_the_plan_does_not_depend_on_the_effect_seen(records: Records) -> None:
    found = [p.error for p in judge(records).pairs if p.error is not None]
    moved = [replace(error, mean=np.asarray(0.2)) for error in found]
    assert seeds_for(found, 0.03, 1) == seeds_for(moved, 0.03, 1)


def test_an_earlier_look_costs_seeds(records: Records) -> None:
    found = [p.error for p in judge(records).pairs if p.error is not None]
    plain, paid = seeds_for(found, 0.03, 1), seeds_for(found, 0.03, 1, looks=[3])
    assert plain is not None
    assert paid is not None
    assert paid > plain
    assert detectable(found, plain, 1) <= 0.03 < detectable(found, plain - 1, 1)


def test_an_error_is_extrapolated_to_what_more_seeds_have() -> None:
    setting = Setting(counts=(50,) * 4, losses=2, seeds=20, own_share=0.3)
    for few, many in errors(setting, 100, 0, (5, 20)):
        assert with_seeds(few, 20).variance.mean() == pytest.approx(many.variance.mean(), rel=0.15)


def test_longer_training_comes_before_more_seeds(records: Records) -> None:
    slow = tuple(HistoryRow(epoch=n, loss=2 - 0.1 * n, seconds=1.0) for n in range(10))
    comparison = judge(changed(records, history=slow), questions=Questions(margin=0.03))
    assert sentences(comparison)[0].text == "Not yet: train longer"
    assert "The training loss was still falling" in told(comparison, "training")
    assert told(comparison, "advice").startswith("Before more seeds, train longer")
    unfitted = TrainingFit(images=10, balanced_accuracy=0.93, cross_entropy=0.2)
    comparison = judge(changed(records, training=unfitted), questions=Questions(margin=0.03))
    assert sentences(comparison)[0].text != "Not yet: train longer"
    assert told(comparison, "advice").startswith("Before more seeds, train longer")


@pytest.mark.parametrize(
    ("losses", "share"),
    [([1.0], None), ([1.0, 1.0], 0.0), ([1.0, 2.0], 0.0), ([2.0, 1.0], 1.0), ([2.0, 1.5, 1.2, 1.1, 1.0], 0.1)],
)
def test_share_of_the_whole_fall(losses: list[float], share: float | None) -> None:
    rows = [HistoryRow(epoch=n, loss=loss, seconds=1.0) for n, loss in enumerate(losses)]
    assert share_of_fall(rows) == (None if share is None else pytest.approx(share))
