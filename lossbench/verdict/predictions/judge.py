"""Judge predictions that lossbench did not make, on one data set or on several at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations
from pathlib import Path

import numpy as np

from ...errors import ConfigError
from ...runs.grid_file import BASELINE
from ..class_table import class_table
from ..comparison import Comparison
from ..derived import POST_HOC, derived_name
from ..entrants import Entrant
from ..judge import judge_entrants
from ..metric import Ints, Metric
from ..questions import Questions
from ..records import Records
from .data_set import DataSet, PredictedRun

_FEWEST = 2  # seeds of a pair


def judge_tables(
    data_sets: Sequence[DataSet],
    files: Sequence[Path],
    *,
    metric: Metric,
    questions: Questions | None = None,
    counts: Mapping[str, int] | None = None,
) -> Comparison:
    """Judge the runs of tables.

    Several data sets are judged together, by the mean of the metric over data sets, and each alone.

    Args:
        data_sets: of `read_tables`.
        files: where they were read.
        metric: what losses are compared by.
        questions: planned questions.
        counts: class name -> training images, if they are known.

    Raises:
        ConfigError: no two losses share two seeds, or a loss lacks a data set.
    """
    losses = tuple(dict.fromkeys(run.loss for data in data_sets for run in data.runs))
    records = Records(files[0], losses, ("",), (), (), None)
    alone = {data.name: _judged([data], records, metric, questions, counts) for data in data_sets}
    sources = tuple(file.name for file in files)
    if len(data_sets) == 1:
        return replace(next(iter(alone.values())), sources=sources)
    _check_data_sets(data_sets, losses)
    pooled = _judged(data_sets, records, _over_data_sets(metric, data_sets), questions, counts)
    return replace(pooled, data_sets=alone, sources=sources)


def _judged(
    data_sets: Sequence[DataSet],
    records: Records,
    metric: Metric,
    questions: Questions | None,
    counts: Mapping[str, int] | None,
) -> Comparison:
    """Judge data sets as one, in which every class of every data set is a class of its own."""
    offsets = [0, *accumulate(len(data.class_names) for data in data_sets)]
    targets = np.concatenate([data.targets + offset for data, offset in zip(data_sets, offsets, strict=False)])
    found: dict[str, list[dict[int, PredictedRun]]] = {}  # loss -> of each data set: seed -> run
    for number, data in enumerate(data_sets):
        for run in data.runs:
            found.setdefault(run.loss, [{} for _ in data_sets])[number][run.seed] = run
    entrants = []
    for loss, parts in found.items():
        seeds = sorted(set.intersection(*map(set, parts)))
        runs = {seed: [part[seed] for part in parts] for seed in seeds}
        if not runs:
            continue
        answers = {seed: _joined([run.predicted for run in runs[seed]], offsets) for seed in seeds}
        entrant = Entrant(loss, loss, "", answers, dict.fromkeys(seeds, targets), offsets[-1], metric=metric)
        entrants.append(entrant)
        shifted = {s: [run.shifted for run in runs[s] if run.shifted is not None] for s in seeds}
        if loss == BASELINE and all(len(part) == len(data_sets) for part in shifted.values()):
            shifted_answers = {seed: _joined(part, offsets) for seed, part in shifted.items()}
            label = derived_name(loss, POST_HOC)
            entrants.append(replace(entrant, label=label, predictions=shifted_answers, derived=POST_HOC))
    _check_seeds(entrants, data_sets)
    names = tuple(
        f"{data.name}: {name}" if len(data_sets) > 1 else name for data in data_sets for name in data.class_names
    )
    training = None
    if counts and all(name in counts for data in data_sets for name in data.class_names):
        listed = [counts[name] for data in data_sets for name in data.class_names]
        training = {seed: listed for entrant in entrants for seed in entrant.predictions}
    classes = class_table(names, {seed: targets for entrant in entrants for seed in entrant.predictions}, training)
    return judge_entrants(
        records, entrants, questions=questions, metric=metric, classes=classes, notes=_notes(targets, names)
    )


def _joined(answers: Sequence[Ints], offsets: Sequence[int]) -> Ints:
    return np.concatenate([answer + offset for answer, offset in zip(answers, offsets, strict=False)])


@dataclass(frozen=True)
class _OverDataSets(Metric):
    """The mean of a metric over data sets whose classes are numbered one after another.

    Attributes:
        alone: the metric on one data set.
        parts: class numbers of each data set.
    """

    alone: Metric
    parts: tuple[slice, ...]

    def of_constant(self, targets: Ints, classes: int) -> float:
        """Return the metric of the best constant answer on each data set."""
        values = []
        for part in self.parts:
            own = targets[(targets >= part.start) & (targets < part.stop)] - part.start
            values.append(self.alone.of_constant(own, part.stop - part.start))
        return sum(values) / len(values)


def _over_data_sets(metric: Metric, data_sets: Sequence[DataSet]) -> Metric:
    ends = list(accumulate(len(data.class_names) for data in data_sets))
    parts = tuple(slice(end - len(data.class_names), end) for data, end in zip(data_sets, ends, strict=True))

    def of_counts(hits: Ints, samples: Ints, predictions: Ints) -> float:
        values = [metric.of_counts(hits[part], samples[part], predictions[part]) for part in parts]
        return sum(values) / len(values)

    return _OverDataSets(
        f"{metric.key}-over-data-sets", f"mean {metric.name} over {len(parts)} data sets", of_counts, metric, parts
    )


def _check_seeds(entrants: Sequence[Entrant], data_sets: Sequence[DataSet]) -> None:
    trained = [entrant for entrant in entrants if not entrant.derived]
    place = f" on data set {data_sets[0].name!r}" if len(data_sets) == 1 and data_sets[0].name else ""
    if len(trained) < 2:
        raise ConfigError(f"the table holds one loss, {trained[0].label!r}{place}; a comparison needs two or more")
    shared = max(len(set(one.predictions) & set(other.predictions)) for one, other in combinations(trained, 2))
    if shared < _FEWEST:
        seeds = "; ".join(f"{e.label}: {', '.join(map(str, sorted(e.predictions)))}" for e in trained[:3])
        raise ConfigError(
            f"no two losses have two seeds in common{place} (seeds of {seeds}). Differences are paired by seed: give "
            "every loss the same seeds, 3 at least and 5 or more for a claim"
        )


def _check_data_sets(data_sets: Sequence[DataSet], losses: Sequence[str]) -> None:
    for data in data_sets:
        if absent := [loss for loss in losses if loss not in {run.loss for run in data.runs}]:
            raise ConfigError(
                f"data set {data.name!r} has no run of {', '.join(map(repr, absent))}. Data sets are judged together: "
                "give every loss runs on every data set, or judge the data sets one by one"
            )


def _notes(targets: Ints, names: Sequence[str]) -> list[str]:
    """Return what a reader must know of the data."""
    counts = np.bincount(targets, minlength=len(names))
    notes = []
    if absent := [name for name, count in zip(names, counts, strict=True) if not count]:
        listed = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        notes.append(f"no sample of {listed}: not part of the metric")
    return notes
