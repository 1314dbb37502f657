"""From runs to a judgement: who takes part, which pairs differ, and what so few seeds could not have shown."""

from __future__ import annotations

import statistics as plain
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .comparable import check_comparable
from .records import Problem, Records, Run, read_records, read_trials
from .resampling import image_interval, mean_of
from .statistics import ALPHA, FEWEST_SEEDS, groups, holm, paired_t, seeds_to_separate, smallest_difference
from .thresholds import Thresholds, shifted, thresholds

BASELINE = "softmax"
POST_HOC = "post-hoc"


@dataclass(frozen=True)
class Entrant:
    """A loss under a sampler, or plain softmax with its scores shifted after training.

    Attributes:
        label: what tables call it.
        loss: the formula as written, with " #2" for a second copy.
        sampler: how training rows were drawn.
        runs: seed -> run.
        post_hoc: whether scores are shifted (tau = 1).
    """

    label: str
    loss: str
    sampler: str
    runs: Mapping[int, Run] = field(repr=False)
    post_hoc: bool = False

    @property
    def name(self) -> str:
        """What a sentence calls it that has named the sampler."""
        return f"{self.loss} ({POST_HOC})" if self.post_hoc else self.loss

    @cached_property
    def thresholds(self) -> dict[int, Thresholds]:
        """Seed -> decision rules."""
        return {seed: thresholds(run.arrays, counts_of(run)) for seed, run in self.runs.items()}

    @cached_property
    def scores(self) -> dict[int, float]:
        """Seed -> balanced accuracy."""
        return {s: t.tau_1 if self.post_hoc else t.as_trained for s, t in self.thresholds.items()}

    @property
    def mean(self) -> float:
        return plain.mean(self.scores.values())

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None with one."""
        return plain.stdev(self.scores.values()) if len(self.scores) > 1 else None

    @cached_property
    def predictions(self) -> dict[int, npt.NDArray[np.int64]]:
        """Seed -> (N,) predicted classes."""
        return {seed: self.test_scores(run).argmax(axis=1) for seed, run in self.runs.items()}

    @property
    def formula(self) -> str:
        return str(self.any_run.record["formula"])

    @property
    def any_run(self) -> Run:
        return next(iter(self.runs.values()))

    def right(self, seeds: Collection[int]) -> npt.NDArray[np.float64]:
        """(N,) in which share of these seeds' runs each test image was classified correctly."""
        return mean_of(self.predictions[s] == self.runs[s].arrays["test_targets"] for s in seeds)

    def confusion(self) -> npt.NDArray[np.float64]:
        """(C, C) rows true, columns predicted: mean over seeds of the shares of each row; NaN without test images."""
        classes = len(self.any_run.record["data"]["class_names"])
        total = np.zeros((classes, classes))
        for seed, predicted in self.predictions.items():
            targets = self.runs[seed].arrays["test_targets"]
            total += np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)
        rows = total.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(total, rows, out=np.full_like(total, np.nan), where=rows > 0))

    def test_scores(self, run: Run) -> npt.NDArray[Any]:
        """(N, C) the scores whose argmax is judged."""
        scores = run.arrays["test_scores"]
        if not self.post_hoc:
            return scores
        frequency = counts_of(run) / counts_of(run).sum()
        return shifted(scores, frequency, 1.0)


@dataclass(frozen=True)
class Pair:
    """Two entrants, the better one first.

    Attributes:
        better, worse: the entrants.
        seeds: in which both have a run.
        differences: of balanced accuracy, one a seed.
        mean, sd: of them; sd None with one seed.
        interval: 95 % over seeds, of this pair alone; None with one seed.
        wide: the same with all pairs considered (Bonferroni); None with one seed.
        p: Holm's, all pairs considered; None with fewer than three seeds, where nothing is claimed.
        smallest: the true difference that so many seeds show four times in five, all pairs considered.
        seeds_needed: to show the mean difference as often; None for more than 1,000, or none.
    """

    better: Entrant = field(repr=False)
    worse: Entrant = field(repr=False)
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    sd: float | None = None
    interval: tuple[float, float] | None = None
    wide: tuple[float, float] | None = None
    p: float | None = None
    smallest: float | None = None
    seeds_needed: int | None = None

    @property
    def first(self) -> str:
        return self.better.label

    @property
    def second(self) -> str:
        return self.worse.label

    @cached_property
    def images(self) -> tuple[float, float] | None:
        """95 % over test images, the runs as they are; None where runs have other images."""
        targets = [e.runs[s].arrays["test_targets"] for e in (self.better, self.worse) for s in self.seeds]
        if any(not np.array_equal(targets[0], other) for other in targets[1:]):
            return None  # only with --allow-differences
        return image_interval(self.better.right(self.seeds) - self.worse.right(self.seeds), targets[0])

    @property
    def different(self) -> bool:
        """Whether the seeds show a difference."""
        return self.p is not None and self.p < ALPHA

    @property
    def of_these_images(self) -> bool:
        """Whether other test images of the same classes could undo it."""
        return self.images is not None and self.images[0] <= 0 <= self.images[1]


@dataclass(frozen=True)
class Comparison:
    """A judged comparison.

    Attributes:
        records: what lay on disk.
        entrants: from the best mean to the worst.
        copies: second copies of a loss, which take part in their A/A pair alone.
        pairs: all entrants of one sampler, two by two.
        same: the A/A pairs.
        groups: sampler -> sets of labels within which no difference is shown; empty where nothing was tested.
        notes: what limits the comparison.
        trials: of the tuning, where there was one.
    """

    records: Records
    entrants: tuple[Entrant, ...]
    copies: tuple[Entrant, ...]
    pairs: tuple[Pair, ...]
    same: tuple[Pair, ...]
    groups: Mapping[str, tuple[tuple[str, ...], ...]]
    notes: tuple[str, ...]
    trials: tuple[dict[str, Any], ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.records.problems

    @property
    def class_names(self) -> list[str]:
        names: list[str] = self.entrants[0].any_run.record["data"]["class_names"]
        return names

    def entrant(self, label: str) -> Entrant:
        return next(e for e in (*self.entrants, *self.copies) if e.label == label)

    def pair(self, one: str, other: str) -> Pair | None:
        return next((p for p in self.pairs if {p.first, p.second} == {one, other}), None)

    @property
    def baseline(self) -> Entrant | None:
        """Plain softmax as trained, under the first sampler."""
        first = self.records.samplers[0]
        found = (e for e in self.entrants if e.formula == BASELINE and not e.post_hoc and e.sampler == first)
        return next(found, None)


def compare(directory: Path, *, allow_differences: bool = False) -> Comparison:
    """Reads a directory and judges what is in it.

    Args:
        directory: of a comparison, or of runs.
        allow_differences: compare also what differs in more than loss, sampler and seed.

    Raises:
        ConfigError: nothing to compare, or what must not be compared, with the reason.
    """
    return judge(read_records(directory), allow_differences=allow_differences)


def judge(records: Records, *, allow_differences: bool = False) -> Comparison:
    """The same, of records that were read."""
    if not records.runs:
        reasons = "\n".join(f"  {p.loss}, seed {p.seed}: {p.status}: {p.message}" for p in records.problems[:10])
        raise ConfigError(f"{records.directory}: no run of this comparison can be used:\n{reasons}")
    tuned = records.grid.get("tuned_options", [])
    notes = check_comparable(records.runs, tuned, allow_differences)
    everyone = _entrants(records)
    copies = tuple(e for e in everyone if " #" in e.loss)
    entrants = sorted((e for e in everyone if e not in copies), key=lambda e: -e.mean)
    pairs = _pairs(entrants)
    originals = {e.loss: e for e in entrants if not e.post_hoc}
    same = [
        pair
        for copy in copies
        if (original := originals.get(copy.loss.rpartition(" #")[0])) is not None and original.sampler == copy.sampler
        for pair in _pairs([original, copy])
    ]
    different = {frozenset((p.first, p.second)) for p in pairs if p.different}
    return Comparison(
        records=records,
        entrants=tuple(entrants),
        copies=copies,
        pairs=pairs,
        same=tuple(same),
        groups={
            sampler: tuple(groups([e.label for e in entrants if e.sampler == sampler], different))
            for sampler in records.samplers
        }
        if any(p.p is not None for p in pairs)
        else {},
        notes=(*notes, *_limits(records)),
        trials=tuple(read_trials(records.directory)) if records.grid.get("trials") else (),
    )


def counts_of(run: Run) -> npt.NDArray[np.float64]:
    """(C,) training images of each class."""
    return np.array(list(run.record["data"]["class_counts"].values()), dtype=np.float64)


def _entrants(records: Records) -> list[Entrant]:
    found = []
    for sampler in records.samplers:
        for loss in records.losses:
            runs = {run.seed: run for run in records.runs if (run.loss, run.sampler) == (loss, sampler)}
            if runs:
                label = loss if len(records.samplers) == 1 else f"{loss}, {sampler}"
                found.append(Entrant(label, loss, sampler, runs))
    plain_softmax = next((e for e in found if e.formula == BASELINE and " #" not in e.loss), None)
    if plain_softmax is not None:
        label = f"{plain_softmax.label} ({POST_HOC})"
        found.append(Entrant(label, plain_softmax.loss, plain_softmax.sampler, plain_softmax.runs, post_hoc=True))
    return found


def _pairs(entrants: Sequence[Entrant]) -> tuple[Pair, ...]:
    """All pairs of one sampler, Holm's correction over those with enough seeds.

    What a sampler does is asked of each loss, by the attribution.
    """
    listed = [(a, b) for a, b in combinations(entrants, 2) if a.sampler == b.sampler]
    common = [sorted(set(a.scores) & set(b.scores)) for a, b in listed]
    testable = sum(len(seeds) >= FEWEST_SEEDS for seeds in common)
    found = []
    for (a, b), seeds in zip(listed, common, strict=True):
        if seeds:
            found.append(_pair(a, b, seeds, ALPHA / max(testable, 1)))
    adjusted = iter(holm([p for _, p in found if p is not None]).tolist() if testable else [])
    return tuple(pair if p is None else replace(pair, p=next(adjusted)) for pair, p in found)


def _pair(a: Entrant, b: Entrant, seeds: list[int], alpha: float) -> tuple[Pair, float | None]:
    """A pair without its corrected p-value, and the plain one."""
    values = [a.scores[s] - b.scores[s] for s in seeds]
    if sum(values) < 0:
        a, b, values = b, a, [-value for value in values]
    mean = plain.mean(values)
    pair = Pair(a, b, tuple(seeds), tuple(values), mean)
    if len(seeds) < 2:
        return pair, None
    test = paired_t(values)
    sd, half, wide = float(test.sd), float(test.half_width()), float(test.half_width(alpha))
    pair = replace(pair, sd=sd, interval=(mean - half, mean + half), wide=(mean - wide, mean + wide))
    if len(seeds) < FEWEST_SEEDS:
        return pair, None
    smallest, needed = smallest_difference(sd, len(seeds), alpha), seeds_to_separate(mean, sd, alpha)
    return replace(pair, smallest=smallest, seeds_needed=needed), float(test.p)


def _limits(records: Records) -> list[str]:
    """What a reader should know of the data before believing a figure."""
    data = records.runs[0].record["data"]
    counts: dict[str, int] = data["test_class_counts"]
    notes = []
    if absent := [name for name, count in counts.items() if not count]:
        notes.append(f"no test image of {', '.join(absent)}: left out of the mean over classes")
    present = [count for count in counts.values() if count]
    if few := {name: count for name, count in counts.items() if 0 < count < _FEW_IMAGES}:
        rarest, count = min(few.items(), key=lambda item: item[1])
        listed = ", ".join(f"{name} {n}" for name, n in few.items())
        notes.append(
            f"few test images: {listed}. One image of {rarest} is worth {100 / count / len(present):.1f} points of "
            "balanced accuracy"
        )
    if 0 < data["selection_images"] < _FEW_IMAGES * len(present):
        notes.append(
            f"the selection split has {data['selection_images']} images: what is chosen by it, such as tau, is noisy"
        )
    notes += [note for note in records.grid.get("notes", []) if note not in notes]
    return notes


_FEW_IMAGES = 20
