"""Join the folds of a seed to one run in which every image is tested once.

Folds are no repetitions: their training sets overlap, and the errors of K folds say little about new data. So folds are
never counted as seeds. Each seed divides the images differently, trains one model per fold, and contributes one score
over all images; seeds and images are then crossed as they are without folds, and `two_way` applies. What a division
into training sets changes varies over the seeds, and the images' own variance, which no number of seeds lowers, does
what Nadeau and Bengio's correction (2003) does for repeated cross-validation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..runs.cells import MISSING
from ..runs.grid_file import entrant_name
from ..runs.predictions import Predictions
from ..runs.record import Record
from .runs import Problem, Run, joined_predictions
from .thresholds import thresholds_of


def join_folds(runs: Iterable[Run], known: dict[bytes, Any]) -> tuple[list[Run], list[Problem]]:
    """Return one run per loss, sampler and seed, and a problem for each that lacks folds; other runs are kept.

    Args:
        runs: with `fold`, or without for data with one test split.
        known: targets of the runs, so that runs share one array.
    """
    found: list[Run] = []
    problems: list[Problem] = []
    together: dict[tuple[str, int, str, int], list[Run]] = {}
    for run in runs:
        if run.fold is None:
            found.append(run)
        else:
            together.setdefault((run.loss, run.copy, run.sampler, run.seed), []).append(run)
    for (loss, copy, sampler, seed), parts in together.items():
        parts.sort(key=lambda run: run.fold or 0)
        folds = parts[0].record.config.get("folds")
        present = [run.fold for run in parts]
        if absent := [n for n in range(1, int(folds or 0) + 1) if n not in present]:
            text = f"fold {', '.join(map(str, absent))} of {folds} is missing, and every image must be tested"
            problems.append(Problem(entrant_name(loss, copy), sampler, seed, MISSING, text))
        else:
            found.append(_joined(parts, known))
    return found, problems


def _joined(parts: Sequence[Run], known: dict[bytes, Any]) -> Run:
    predictions = [run.predictions for run in parts]
    ids = np.concatenate([p.test.sample_ids for p in predictions if p.test.sample_ids is not None])
    rows = np.argsort(ids, kind="stable")
    whole = joined_predictions(predictions, rows)
    first, record = parts[0], _record(parts, ids[rows], whole)
    return replace(
        first,
        directory=first.directory.parent,
        record=record,
        predicted=whole.test.scores.argmax(axis=1).astype(np.int32),
        targets=known.setdefault(whole.test.targets.tobytes(), whole.test.targets),
        thresholds=thresholds_of(record, whole),
        fold=None,
        folds=tuple(parts),
        rows=rows,
    )


def _record(parts: Sequence[Run], ids: Any, whole: Predictions) -> Record:
    """Return the record of the first fold with the data of all: counts of training are means over folds."""
    records = [run.record for run in parts]
    first, data = records[0], records[0].data

    def mean(name: str) -> dict[str, int]:
        counts = np.mean([r.data.in_order(getattr(r.data, name)) for r in records], axis=0)
        return dict(zip(data.class_names, np.maximum(np.rint(counts), 1).astype(int).tolist(), strict=True))

    digest = hashlib.sha256(json.dumps(ids.tolist()).encode() + whole.test.targets.astype("<i8").tobytes())
    tested = np.bincount(whole.test.targets, minlength=len(data.class_names)).tolist()
    return replace(
        first,
        data=replace(
            data,
            training_counts=mean("training_counts"),
            drawn_counts=mean("drawn_counts"),
            test_counts=dict(zip(data.class_names, tested, strict=True)),
            selection_images=sum(r.data.selection_images for r in records),
            split_origin=f"each tested once, in {len(parts)} folds{data.split_origin.partition(', stratified')[2]}",
            test_digest=digest.hexdigest(),
            skipped_unreadable=tuple(dict.fromkeys(name for r in records for name in r.data.skipped_unreadable)),
            notes=tuple(dict.fromkeys(note for r in records for note in r.data.notes)),
        ),
    )
