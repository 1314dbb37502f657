"""Folds joined on disk are judged as one split would be, and are never counted as seeds."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_records import make_records

from lossbench.report.sections import make_tables
from lossbench.runs import layout
from lossbench.runs.grid_file import read_grid_file, write_grid_file
from lossbench.runs.history import read_history, write_history
from lossbench.runs.predictions import Predictions, SplitPredictions, read_predictions, write_predictions
from lossbench.runs.record import read_record, write_record
from lossbench.verdict.judge import compare, judge
from lossbench.verdict.questions import read_questions
from lossbench.verdict.records import read_records
from lossbench.verdict.sentences import verdict_words

FOLDS = 2


def divide(grid: Path, out: Path) -> Path:
    """Write the runs of a grid as folds that together tested its test images, in another order for each seed."""
    content, cells = read_grid_file(grid), []
    for cell in content.cells:
        place = grid / "cells" / cell.name
        record = read_record(place)
        predictions = read_predictions(place, record, embeddings=True)
        order = np.random.default_rng(cell.seed).permutation(len(predictions.test.targets))
        for fold in range(1, FOLDS + 1):
            rows = np.sort(order[fold - 1 :: FOLDS])
            test = SplitPredictions(*(getattr(predictions.test, f.name)[rows]
                                      for f in dataclasses.fields(SplitPredictions)))  # fmt: skip
            own = dataclasses.replace(cell, fold=fold, name=f"{cell.name}-f{fold}")
            counts = np.bincount(test.targets, minlength=8)
            confusion = np.zeros((8, 8), dtype=int)
            np.add.at(confusion, (test.targets, test.scores.argmax(axis=1)), 1)
            data = dataclasses.replace(
                record.data,
                test_counts=dict(zip(record.data.class_names, counts.tolist(), strict=True)),
                test_digest=f"{cell.seed} {fold}",
                train_digest=f"{cell.seed} {fold}",
            )
            target = out / "cells" / own.name
            target.mkdir(parents=True)
            config = record.config | {"folds": FOLDS, "fold": fold}
            layout.write_config(target / layout.CONFIG, config)
            write_history(target, read_history(place))
            refits = predictions.refit_scores
            assert refits is not None
            write_predictions(target, Predictions(test, predictions.selection, refits[rows], predictions.centers))
            write_record(
                target,
                dataclasses.replace(
                    record, data=data, config=config, confusion_matrix=tuple(map(tuple, confusion.tolist()))
                ),
            )
            cells.append(own)
    write_grid_file(out, dataclasses.replace(content, cells=tuple(cells)))
    return out


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A grid with one test split, and the same predictions as folds; don't change them."""
    root = tmp_path_factory.mktemp("folds")
    whole = make_records(root / "whole", {"softmax": 0.5, "weighted-softmax": 0.6}, seeds=3, images=160)
    return whole, divide(whole, root / "folded")


def test_joined_folds_are_judged_as_one_split(grids: tuple[Path, Path]) -> None:
    whole, folded = map(compare, grids)
    assert [e.label for e in folded.entrants] == [e.label for e in whole.entrants]
    for one, other in zip(folded.entrants, whole.entrants, strict=True):
        assert one.scores == pytest.approx(other.scores)
        assert one.interval == pytest.approx(other.interval)
    for mine, theirs in zip((*folded.pairs, *folded.control), (*whole.pairs, *whole.control), strict=True):
        assert mine.seeds == (0, 1, 2)  # folds are no seeds
        assert mine.p == pytest.approx(theirs.p)
        assert mine.interval == pytest.approx(theirs.interval)


def test_claims_on_derived_answers_hold_for_folds_as_for_one_split(grids: tuple[Path, Path]) -> None:
    asked = read_questions(["weighted-softmax > softmax (shifted)", "weighted-softmax (refit) > softmax (refit)"])
    whole, folded = (judge(read_records(grid), questions=asked).claims for grid in grids)
    for mine, theirs in zip(folded, whole, strict=True):
        assert (mine.first, mine.second, mine.family) == (theirs.first, theirs.second, 2)
        assert mine.differences == pytest.approx(theirs.differences)
        assert mine.interval == pytest.approx(theirs.interval)


def test_the_report_says_what_folds_are(grids: tuple[Path, Path]) -> None:
    comparison = compare(grids[1])
    words = " ".join(verdict_words(comparison))
    assert "for training on 1 of 2 folds of these images: every seed divides the images differently" in words
    tables = {table.key: table for table in make_tables(comparison)}
    assert "each tested once, in 2 folds" in " ".join(map(str, tables["setup"].rows))
    assert all(row[-1] == "6 of 6" for row in tables["costs"].rows)
    assert {"recall", "tail", "threshold"} & tables.keys()


def test_a_missing_fold_makes_the_seed_incomplete(grids: tuple[Path, Path], tmp_path: Path) -> None:
    folded = Path(shutil.copytree(grids[1], tmp_path / "grid"))
    shutil.rmtree(folded / "cells" / "softmax-natural-s1-f2")
    comparison = compare(folded)
    assert [(p.run, p.status) for p in comparison.problems] == [("softmax, natural, seed 1, fold 2", "missing")]
    assert sorted(comparison.entrant("softmax").scores) == [0, 2]
    assert "2 of 3 seeds" in " ".join(verdict_words(comparison))


def test_a_missing_fold_of_single_runs_is_named(grids: tuple[Path, Path], tmp_path: Path) -> None:
    folded = Path(shutil.copytree(grids[1] / "cells", tmp_path / "runs"))
    shutil.rmtree(folded / "softmax-natural-s1-f2")
    (problem,) = compare(folded).problems
    assert problem.run == "softmax, natural, seed 1"
    assert problem.message == "fold 2 of 2 is missing, and every image must be tested"
