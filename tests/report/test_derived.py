"""Planned questions on answers that are derived from trained runs: shifted scores and the refit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_records import make_records

from lossbench.errors import ConfigError
from lossbench.report.as_json import comparison_content
from lossbench.report.latex.methods import methods
from lossbench.report.tables.accuracy import planned_pairs, ranking
from lossbench.runs.grid_file import read_grid_file, write_grid_file
from lossbench.runs.predictions import read_predictions, write_predictions
from lossbench.runs.record import read_record, write_record
from lossbench.verdict.asked_before import check_names
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.contradictions import contradictions
from lossbench.verdict.judge import compare, judge
from lossbench.verdict.questions import read_questions
from lossbench.verdict.records import Records, read_records
from lossbench.verdict.sentences import verdict_words
from lossbench.verdict.statistics import holm

LOSSES = {"softmax": 0.4, "weighted-softmax": 0.9, "center": 0.4}
SHAPE = {"seeds": 3, "images": 160, "embedding_dim": 4}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid whose softmax carries the prior, and whose refits differ from the networks; do not change it."""
    made = make_records(tmp_path_factory.mktemp("derived") / "grid", LOSSES, prior=1, **SHAPE)
    draw = np.random.default_rng(0)
    for place in sorted((made / "cells").iterdir()):
        found = read_predictions(place, read_record(place), embeddings=True)
        refit = found.test.scores + draw.standard_normal(found.test.scores.shape, dtype=np.float32)
        write_predictions(place, dataclasses.replace(found, refit_scores=refit))
    return made


@pytest.fixture(scope="module")
def records(grid: Path) -> Records:
    return read_records(grid)


def asked(records: Records, *claims: str, against: str | None = None) -> Comparison:
    comparison = judge(records, questions=read_questions(claims, against))
    assert contradictions(comparison) == []
    return comparison


@pytest.mark.parametrize(
    ("name", "label", "rule"),
    [
        ("softmax (post-hoc)", "softmax (post-hoc)", "tau_1"),
        ("softmax (shifted)", "softmax (post-hoc)", "tau_1"),
        ("softmax(measured tau)", "softmax (measured tau)", "tuned"),
        ("center (measured tau)", "center (measured tau)", "tuned"),
        ("center (refit)", "center (refit)", "refit"),
    ],
)
def test_a_claim_names_answers_by_any_of_their_rules(records: Records, name: str, label: str, rule: str) -> None:
    comparison = asked(records, f"weighted-softmax > {name}")
    (pair,) = comparison.claims
    assert (pair.first, pair.second, pair.family) == ("weighted-softmax", label, 1)
    trained = comparison.entrant(label.partition(" (")[0])
    assert pair.other.scores == {seed: getattr(t, rule) for seed, t in trained.thresholds.items()}
    assert pair.other.scores != trained.scores
    assert verdict_words(comparison)[0] == f"Claim shown: weighted-softmax > {label}"
    assert comparison.entrant(label) is pair.other


def test_claims_are_one_family_by_holm_and_derived_answers_are_references(records: Records) -> None:
    comparison = asked(
        records, "weighted-softmax > center", "weighted-softmax > softmax (shifted)", "center (refit) > softmax (refit)"
    )
    claims = comparison.claims
    assert [pair.family for pair in claims] == [3, 3, 3]
    alone = [asked(records, f"{pair.first} > {pair.second}").claims[0].p for pair in claims]
    assert [pair.p for pair in claims] == pytest.approx(holm([p for p in alone if p is not None]).tolist())
    content = json.loads(json.dumps(comparison_content(comparison), allow_nan=False))
    derived = ["softmax (post-hoc)", "center (refit)", "softmax (refit)"]
    assert [r["loss"] for r in content["references"]][:3] == derived
    assert {e["loss"] for e in content["entrants"]} == set(LOSSES)
    assert len(content["pairs"]) == len(content["control"]) == 3
    planned = planned_pairs(comparison)
    assert planned is not None
    assert [row[0] for row in planned.rows] == [f"{pair.first} - {pair.second}" for pair in claims]
    assert {"center (refit)", "softmax (refit)"} <= {row[0] for row in ranking(comparison).rows}
    assert "center (refit)" in methods(comparison)


def test_every_loss_is_tested_against_derived_answers(records: Records) -> None:
    comparison = asked(records, against="softmax (measured tau)")
    assert {(p.first, p.second) for p in comparison.against} == {(loss, "softmax (measured tau)") for loss in LOSSES}


def test_a_name_without_a_sampler_is_that_of_the_first(tmp_path: Path) -> None:
    """Whichever sampler has the better mean; the shifted softmax is that of the natural sampler."""
    made = make_records(tmp_path / "grid", {"softmax": 0.5}, samplers=("sqrt", "natural"), **SHAPE)
    names = {"softmax": "softmax, sqrt", "softmax (post-hoc)": "softmax, natural (post-hoc)",
             "softmax (refit)": "softmax, sqrt (refit)", "softmax, natural (refit)": "softmax, natural (refit)",
             "softmax, sqrt (post-hoc)": "softmax, sqrt (post-hoc)"}  # fmt: skip
    found = read_records(made)
    for name, label in names.items():
        (pair,) = asked(found, f"{name} > softmax, natural").claims
        assert pair.first == label
    with pytest.raises(ConfigError, match="both names are those of 'softmax, natural"):
        check_names(["softmax, natural (post-hoc) > softmax (shifted)"], None, ["softmax"], ["sqrt", "natural"])
    with pytest.raises(ConfigError, match="no loss is named 'softmax, balanced'"):
        check_names(["softmax, balanced > softmax"], None, ["softmax"], ["sqrt", "natural"])


REFUSED = {
    "nobody (refit) > softmax": r"no loss is named 'nobody'; expected one of softmax, weighted-softmax, center, as trai"
    r"ned or followed by \(post-hoc\), \(measured tau\), \(refit\)$",
    "center > softmax (refitted)": "no loss is named 'softmax \\(refitted\\)'",
    "softmax > center (shifted)": r"'center \(post-hoc\)' does not exist, since post-hoc answers are for plain softmax "
    r"alone; expected center \(measured tau\), center \(refit\)$",
    "softmax (shifted) > softmax (post-hoc)": r"both names are those of 'softmax \(post-hoc\)'",
    "softmax, natural > center": "no loss is named 'softmax, natural'",
}


@pytest.mark.parametrize(("claim", "message"), REFUSED.items(), ids=REFUSED)
def test_names_are_refused_before_the_first_run(records: Records, claim: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_names([claim], None, list(LOSSES), ["natural"])
    if claim != "softmax, natural > center":
        with pytest.raises(ConfigError, match=message.partition("; expected")[0]):
            asked(records, claim)


def test_one_pair_under_two_names_is_claimed_twice(records: Records) -> None:
    claims = ["center > softmax (shifted)", "softmax (post-hoc) > center"]
    with pytest.raises(ConfigError, match="claimed twice"):
        check_names(claims, None, list(LOSSES), ["natural"])
    with pytest.raises(ConfigError, match="claimed twice"):
        asked(records, *claims)


def test_a_claim_without_runs_is_not_tested_and_the_others_are(grid: Path, records: Records) -> None:
    left = dataclasses.replace(records, runs=tuple(run for run in records.runs if run.loss != "center"))
    comparison = asked(left, "weighted-softmax > softmax (shifted)", "center (refit) > softmax", against="center")
    told = verdict_words(comparison)
    assert "1 of 2 planned claims shown" in told[0]
    assert "Planned claim center (refit) > softmax: not tested (no run of center can be used)." in told
    assert "Against center: not tested (no run of center can be used)." in told
    rows = comparison_content(comparison)["claims"]
    assert [(row["second"], row["untested"]) for row in rows[1:]] == [
        ("softmax", "no run of center can be used"), (None, "no run of center can be used"),
    ]  # fmt: skip
    assert set(rows[0]) == set(rows[1])
    planned = planned_pairs(comparison)
    assert planned is not None
    assert [row[0] for row in planned.rows[1:]] == ["center (refit) - softmax", "every loss - center"]
    assert {row[4] for row in planned.rows[1:]} == {"no claim"}
    assert {len(row) for row in planned.rows} == {len(planned.columns)}
    assert "center (refit)" in methods(comparison)


def test_without_selection_images_tau_is_not_measured_and_this_is_said(tmp_path: Path) -> None:
    made = make_records(tmp_path / "grid", {"softmax": 0.5, "center": 0.6}, **SHAPE)
    for place in (made / "cells").iterdir():
        record = read_record(place)
        found = read_predictions(place, record)
        write_predictions(place, dataclasses.replace(found, selection=None, refit_scores=None))
        write_record(place, dataclasses.replace(record, data=dataclasses.replace(record.data, selection_images=0)))
    write_grid_file(
        made, dataclasses.replace(read_grid_file(made), claims=("center (measured tau) > softmax (refit)",))
    )
    told = verdict_words(compare(made))
    assert told[0] == "The planned claim is not shown"
    assert (
        "Planned claim center (measured tau) > softmax (refit): not tested (tau cannot be measured without a selection "
        "image of every class; no linear classifier was fitted on its embeddings)." in told
    )
