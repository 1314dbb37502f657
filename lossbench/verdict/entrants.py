"""Who takes part in a comparison: a loss under a sampler, with its runs."""

from __future__ import annotations

import statistics as plain
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data import Sampler
from ..runs.grid_file import BASELINE, entrant_name
from .records import Records, Run
from .resampling import mean_of
from .thresholds import Thresholds, frequencies, shifted, thresholds

POST_HOC = "post-hoc"


@dataclass(frozen=True)
class Entrant:
    """A loss under a sampler, or plain softmax with its scores shifted after training.

    Attributes:
        label: what tables call it.
        loss: the formula as written.
        sampler: how training rows were drawn.
        runs: seed -> run.
        post_hoc: whether scores are shifted (tau = 1).
        copy: 2 for the second run of a loss that is listed twice, and so on.
    """

    label: str
    loss: str
    sampler: str
    runs: Mapping[int, Run] = field(repr=False)
    post_hoc: bool = False
    copy: int = 1

    @property
    def name(self) -> str:
        """What a sentence calls it that has named the sampler."""
        return f"{self.loss} ({POST_HOC})" if self.post_hoc else entrant_name(self.loss, self.copy)

    @cached_property
    def thresholds(self) -> dict[int, Thresholds]:
        """Seed -> decision rules."""
        return {
            seed: thresholds(run.predictions, _drawn(run), run.record.data.in_order(run.record.data.training_counts))
            for seed, run in self.runs.items()
        }

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
        return self.any_run.record.formula

    @property
    def any_run(self) -> Run:
        return next(iter(self.runs.values()))

    def right(self, seeds: Collection[int]) -> npt.NDArray[np.float64]:
        """(N,) in which share of these seeds' runs each test image was classified correctly."""
        return mean_of(self.predictions[s] == self.runs[s].predictions.test.targets for s in seeds)

    def confusion(self) -> npt.NDArray[np.float64]:
        """(C, C) rows true, columns predicted: mean over seeds of the shares of each row; NaN without test images."""
        classes = len(self.any_run.record.data.class_names)
        total = np.zeros((classes, classes))
        for seed, predicted in self.predictions.items():
            targets = self.runs[seed].predictions.test.targets
            total += np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)
        rows = total.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(total, rows, out=np.full_like(total, np.nan), where=rows > 0))

    def test_scores(self, run: Run) -> npt.NDArray[Any]:
        """(N, C) the scores whose argmax is judged."""
        scores = run.predictions.test.scores
        if not self.post_hoc:
            return scores
        return shifted(scores, frequencies(_drawn(run)), 1.0)


def entrants_of(records: Records) -> list[Entrant]:
    """Return the entrants of a comparison, plus plain softmax with its scores shifted after training.

    The shifted softmax is the one trained with the natural sampler if there is one, else that of the first sampler:
    under a balanced sampler the scores carry no prior, and shifting them changes nothing.
    """
    found = []
    for sampler in records.samplers:
        for loss, copy in sorted({(run.loss, run.copy) for run in records.runs}, key=_order(records)):
            runs = {run.seed: run for run in records.runs if (run.loss, run.copy, run.sampler) == (loss, copy, sampler)}
            if runs:
                name = entrant_name(loss, copy)
                label = name if len(records.samplers) == 1 else f"{name}, {sampler}"
                found.append(Entrant(label, loss, sampler, runs, copy=copy))
    softmax_runs = [e for e in found if e.formula == BASELINE and e.copy == 1]
    if softmax_runs:
        plain_softmax = next((e for e in softmax_runs if e.sampler == Sampler.NATURAL), softmax_runs[0])
        label = f"{plain_softmax.label} ({POST_HOC})"
        found.append(Entrant(label, plain_softmax.loss, plain_softmax.sampler, plain_softmax.runs, post_hoc=True))
    return found


def _order(records: Records) -> Callable[[tuple[str, int]], tuple[int, int]]:
    """Return the key that sorts (loss, copy) as the comparison lists them, copies last."""
    return lambda pair: (pair[1], records.losses.index(pair[0]))


def _drawn(run: Run) -> list[int]:
    """Return the C expected images per epoch of each class, as the run's sampler drew them."""
    return run.record.data.in_order(run.record.data.drawn_counts)
