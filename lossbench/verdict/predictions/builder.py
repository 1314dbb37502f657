"""Collect the runs of one data set from the rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import ConfigError
from .columns import SCORE, Chunk
from .data_set import DataSet, Ints, PredictedRun
from .values import class_order, few, scores, seeds, some, texts, without_prior


class DataSetBuilder:
    """Collects the runs of one data set."""

    def __init__(self, name: str, counts: Mapping[str, int] | None) -> None:
        self.name, self.counts = name, counts
        self.place = f"data set {name!r}" if name else "the table"
        self.scored: list[str] | None = None
        self.scored_in: Path | None = None
        self.classes: dict[str, int] = {}
        self.first_seen: dict[str, str] = {}  # class -> where, and as what
        self.samples: dict[str, int] = {}
        self.targets = np.zeros(0, dtype=np.int32)  # of each sample
        self.runs: dict[tuple[str, int], list[tuple[Ints, Ints, Ints | None]]] = {}  # samples, predicted, shifted

    def add(self, chunk: Chunk, compared: str, scored: list[str], rows: Sequence[int]) -> None:
        """Add rows of a chunk."""
        self._check_score_columns(chunk, scored)
        keys = list(zip(texts(chunk, compared, rows), seeds(chunk, rows), strict=True))
        ids = texts(chunk, "sample", rows)
        sample = np.array([self.samples.setdefault(name, len(self.samples)) for name in ids], dtype=np.int32)
        self._add_targets(chunk, rows, sample, self._labels(chunk, "target", rows))
        shifted = predicted = None
        if scored:
            values = scores(chunk, scored, rows)
            predicted = values.argmax(axis=1).astype(np.int32)
            if self.counts and all(name in self.counts for name in self._score_classes()):
                counts = np.array([self.counts[name] for name in self._score_classes()], dtype=np.float64)
                shifted = without_prior(values, counts).argmax(axis=1).astype(np.int32)
        if "predicted" in chunk.columns:
            predicted = self._labels(chunk, "predicted", rows)
        assert predicted is not None
        number = {key: n for n, key in enumerate(dict.fromkeys(keys))}
        run = np.array([number[key] for key in keys])
        for key, n in number.items():
            own = slice(None) if len(number) == 1 else run == n
            part = (sample[own], predicted[own], None if shifted is None else shifted[own])
            self.runs.setdefault(key, []).append(part)

    def finish(self) -> DataSet:
        """Check that all runs answer the same samples, and return them."""
        ordered = self._ordered_classes()
        place = {name: n for n, name in enumerate(ordered)}
        renumber = np.array([place[name] for name in self.classes], dtype=np.int32)
        runs = tuple(self._run(*key, parts, renumber) for key, parts in self.runs.items())
        return DataSet(self.name, tuple(ordered), tuple(self.samples), renumber[self.targets], runs)

    def _run(self, loss: str, seed: int, parts: list[tuple[Ints, Ints, Ints | None]], renumber: Ints) -> PredictedRun:
        sample = np.concatenate([part[0] for part in parts])
        times = np.bincount(sample, minlength=len(self.samples))
        if (times != 1).any():
            ids = list(self.samples)
            twice = [ids[n] for n in np.flatnonzero(times > 1).tolist()]
            if twice:
                raise ConfigError(
                    f"{self.place}: {loss!r} with seed {seed} has several rows for {some(twice, 'sample')}. Each run "
                    "must have one row per sample: give another run another seed, and other data a column dataset"
                )
            absent = [ids[n] for n in np.flatnonzero(times == 0).tolist()]
            raise ConfigError(
                f"{self.place}: {loss!r} with seed {seed} lacks {some(absent, 'sample')} of other runs. All runs of a "
                "data set must answer the same samples"
            )
        order = np.argsort(sample)
        predicted = renumber[np.concatenate([part[1] for part in parts])[order]]
        shifted = [part[2] for part in parts if part[2] is not None]
        return PredictedRun(loss, seed, predicted, renumber[np.concatenate(shifted)[order]] if shifted else None)

    def _score_classes(self) -> list[str]:
        return [name.removeprefix(SCORE) for name in self.scored or ()]

    def _check_score_columns(self, chunk: Chunk, scored: list[str]) -> None:
        if self.scored is None:
            self.scored, self.scored_in = scored, chunk.file
            self.classes = {name: n for n, name in enumerate(self._score_classes())}
        elif scored != self.scored:
            raise ConfigError(
                f"{chunk.file} has {_columns(scored)}, but {self.scored_in} has {_columns(self.scored)}. All runs of a "
                "data set must have scores for the same classes in the same order"
            )

    def _labels(self, chunk: Chunk, column: str, rows: Sequence[int]) -> Ints:
        """Return class numbers, and remember where a class was seen first."""
        found, before = texts(chunk, column, rows), len(self.classes)
        numbers = np.array([self.classes.setdefault(name, len(self.classes)) for name in found], dtype=np.int32)
        for name in list(self.classes)[before:]:
            self.first_seen[name] = f"{chunk.where(rows[found.index(name)])}: {column}"
        return numbers

    def _add_targets(self, chunk: Chunk, rows: Sequence[int], sample: Ints, target: Ints) -> None:
        """Store the targets of new samples, and compare those of known ones."""
        unknown = np.full(len(self.samples) - len(self.targets), -1, dtype=np.int32)
        self.targets = np.concatenate([self.targets, unknown])
        new = self.targets[sample] < 0
        self.targets[sample[new]] = target[new]
        differ = np.flatnonzero(self.targets[sample] != target)
        if len(differ):
            at, names = int(differ[0]), list(self.classes)
            raise ConfigError(
                f"{chunk.where(rows[at])}: sample {list(self.samples)[sample[at]]!r} of {self.place} has the target "
                f"{names[target[at]]!r}, but {names[self.targets[sample[at]]]!r} in another row. A sample must have "
                "one target in all runs; give samples of other data a column dataset"
            )

    def _ordered_classes(self) -> list[str]:
        """Return the class names in their final order.

        Raises:
            ConfigError: a class is not among those of the score columns, the training counts or the targets.
        """
        of_targets = {list(self.classes)[n] for n in np.unique(self.targets).tolist()}
        if self.scored:
            allowed, source, remedy = self._score_classes(), "score columns", "add a score column for it"
        elif self.counts:
            allowed, source, remedy = list(self.counts), "training counts (--counts)", "add it there"
        else:
            allowed, source = class_order(of_targets), "targets"
            remedy = "for a class without samples pass --counts with every class, or score_<class> columns"
        for name in self.classes:
            if name not in allowed:
                raise ConfigError(
                    f"{self.first_seen[name]} is {name!r}, which is not among the {len(allowed)} classes of the "
                    f"{source} of {self.place} ({few(allowed)}). Correct the table, or {remedy}"
                )
        if self.counts and (missing := [name for name in allowed if name not in self.counts]):
            raise ConfigError(f"the training counts (--counts) lack {some(missing, 'class')} of {self.place}")
        if len(allowed) < 2:
            raise ConfigError(f"{self.place} has one class, {allowed[0]!r}; expected two or more")
        return allowed


def _columns(scored: list[str]) -> str:
    return f"score columns for {few([name.removeprefix(SCORE) for name in scored])}" if scored else "no score columns"
