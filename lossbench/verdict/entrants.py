"""Who takes part in a comparison: a loss under a sampler, with its runs."""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..runs.grid_file import entrant_name
from ..runs.predictions import Predictions
from .derived import derived_name, derived_scores
from .metric import BALANCED_ACCURACY, Metric
from .runs import Run
from .score_interval import score_interval
from .statistics import ALPHA
from .thresholds import Thresholds
from .two_way import two_way

Ints = npt.NDArray[np.integer[Any]]

_FEWEST = 3  # runs, of which one can be called collapsed
_NO_GAIN, _MUCH = 0.05, 0.25  # over chance


@dataclass(frozen=True)
class Entrant:
    """A loss under a sampler, or what is derived from its runs after training.

    Attributes:
        label: what tables call it.
        loss: the formula as written.
        sampler: how training rows were drawn; empty if it is not known.
        predictions: seed -> (N,) predicted classes of the test images.
        seed_targets: seed -> (N,) classes of the test images.
        classes: number of classes, with those that have no test image.
        runs: seed -> run; empty for predictions that lossbench did not make.
        derived: how the answers are derived from trained runs, one of `DERIVED`; empty for answers as trained.
        copy: 2 for the second run of a loss that is listed twice, and so on.
        diverged: seeds whose run diverged; each counts as a constant answer, so survivors alone win nothing.
        metric: what runs are scored by.
    """

    label: str
    loss: str
    sampler: str
    predictions: Mapping[int, Ints] = field(repr=False)
    seed_targets: Mapping[int, Ints] = field(repr=False)
    classes: int
    runs: Mapping[int, Run] = field(default_factory=dict, repr=False)
    derived: str = ""
    copy: int = 1
    diverged: frozenset[int] = frozenset()
    metric: Metric = BALANCED_ACCURACY

    @property
    def name(self) -> str:
        """What a sentence calls it that has named the sampler."""
        name = entrant_name(self.loss, self.copy)
        return derived_name(name, self.derived) if self.derived else name

    @property
    def thresholds(self) -> dict[int, Thresholds]:
        """Seed -> decision rules."""
        return {seed: run.thresholds for seed, run in self.runs.items()}

    @cached_property
    def values(self) -> dict[int, npt.NDArray[np.float64]]:
        """Seed -> (N,) what each test image adds to the metric, such as 1 where it is classified correctly.

        Where the run diverged, the score of a constant answer.
        """
        found = {
            seed: self.metric.values(predicted, self.seed_targets[seed], self.classes)
            for seed, predicted in self.predictions.items()
        }
        images = next(iter(found.values())).shape
        return found | {seed: np.full(images, self.chance) for seed in self.diverged}

    @cached_property
    def targets(self) -> dict[int, Ints]:
        """Seed -> (N,) classes of the test images, for diverged runs, too."""
        return {**self.seed_targets, **dict.fromkeys(self.diverged, self._any_targets)}

    @property
    def _any_targets(self) -> Ints:
        return next(iter(self.seed_targets.values()))

    @cached_property
    def chance(self) -> float:
        """Metric of the best constant answer."""
        return self.metric.of_constant(self._any_targets, self.classes)

    @cached_property
    def weights(self) -> npt.NDArray[np.float64]:
        """(P,) weights of the classes that have test images."""
        return self.metric.weights(self._any_targets)

    @cached_property
    def scores(self) -> dict[int, float]:
        """Seed -> metric; that of a constant answer where the run diverged."""
        found = {
            seed: self.metric.of(predicted, self.seed_targets[seed], self.classes)
            for seed, predicted in self.predictions.items()
        }
        return dict(sorted((found | dict.fromkeys(self.diverged, self.chance)).items()))

    @property
    def collapsed(self) -> tuple[int, ...]:
        """Seeds whose run lost more than half of what the median run gains over chance, or learned nothing at all.

        A run has learned nothing if it is at chance while another run of the loss gains much; then the median can be at
        chance, too.
        """
        gains = {seed: self.scores[seed] - self.chance for seed in sorted(self.predictions)}
        median = plain.median(gains.values()) if len(gains) >= _FEWEST else 0.0
        least = median / 2 if median > _NO_GAIN else 0.0
        if max(gains.values()) > _MUCH:
            least = max(least, _NO_GAIN)
        return tuple(seed for seed, gain in gains.items() if gain < least) if least else ()

    @property
    def unstable(self) -> bool:
        """Whether a run diverged or collapsed: such a loss is never said to be ahead."""
        return bool(self.diverged or self.collapsed)

    @property
    def mean(self) -> float:
        return plain.mean(self.scores.values())

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None with one."""
        return plain.stdev(self.scores.values()) if len(self.scores) > 1 else None

    @property
    def interquartile_mean(self) -> float:
        """Mean of the middle half of the runs (Agarwal et al., NeurIPS 2021): one failed run moves it little."""
        return float(stats.trim_mean(list(self.scores.values()), 0.25))

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean for new seeds and new test images; None where runs have other test images."""
        seeds = list(self.scores)
        first = self.targets[seeds[0]]
        if any(not np.array_equal(first, self.targets[seed]) for seed in seeds[1:]):
            return None
        values = np.stack([self.values[seed] for seed in seeds])
        if values.min() >= 0 and values.max() <= 1:
            return score_interval(values, first, weights=self.weights)
        if len(seeds) == 1:
            return None
        both = np.stack([values, np.zeros_like(values)])
        scores = [list(self.scores.values()), [0.0] * len(seeds)]
        half = float(two_way(both, first, [(0, 1)], weights=self.weights, scores=scores).half_width(ALPHA)[0])
        return (max(self.mean - half, 0.0), min(self.mean + half, 1.0)) if half < 1 else None

    @property
    def training_accuracy(self) -> float | None:
        """Mean balanced accuracy on the runs' own training images; None if a run has not measured it."""
        fits = [run.record.training for run in self.trained]
        known = [fit.balanced_accuracy for fit in fits if fit is not None]
        return plain.mean(known) if known and len(known) == len(fits) else None

    @property
    def trained(self) -> list[Run]:
        """The trained models: one per run, or one per fold of each run."""
        return [part for run in self.runs.values() for part in run.trained]

    @property
    def formula(self) -> str:
        """The objective as it was trained, or the name of what lossbench did not train."""
        return self.any_run.record.formula if self.runs else self.loss

    @property
    def any_run(self) -> Run:
        return next(iter(self.runs.values()))

    def test_scores(self, run: Run, predictions: Predictions | None = None) -> npt.NDArray[Any]:
        """Return the scores whose argmax is judged, (N, C).

        Args:
            run: one of `runs`.
            predictions: of the run, if they were read before.
        """
        found = predictions or run.predictions
        return derived_scores(run, found, self.derived) if self.derived else found.test.scores
