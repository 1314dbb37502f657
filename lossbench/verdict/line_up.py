"""The entrants of a comparison, from its records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..data import Sampler
from ..runs.cells import DIVERGED
from ..runs.grid_file import BASELINE, entrant_name
from .derived import POST_HOC, derived_name, derived_scores, lacks
from .entrants import Entrant
from .metric import BALANCED_ACCURACY, Metric
from .records import Records
from .runs import Ints, Run


def entrants_of(records: Records, metric: Metric = BALANCED_ACCURACY) -> list[Entrant]:
    """Return the entrants of a comparison, plus plain softmax with its scores shifted after training: the control.

    The control is made of the softmax runs with the natural sampler (tau = 1) if there are any. Otherwise it is made of
    those with the first sampler, whose scores carry less of the training prior: the measured part is taken off them,
    and runs without a measured prior have no control.
    """
    found = []
    for sampler in records.samplers:
        for loss, copy in sorted({(run.loss, run.copy) for run in records.runs}, key=_order(records)):
            runs = {run.seed: run for run in records.runs if (run.loss, run.copy, run.sampler) == (loss, copy, sampler)}
            if runs:
                name = entrant_name(loss, copy)
                label = name if len(records.samplers) == 1 else f"{name}, {sampler}"
                diverged = frozenset(
                    p.seed for p in records.problems if (p.loss, p.sampler, p.status) == (name, sampler, DIVERGED)
                )
                found.append(
                    Entrant(
                        label,
                        loss,
                        sampler,
                        {seed: run.predicted for seed, run in runs.items()},
                        {seed: run.targets for seed, run in runs.items()},
                        len(next(iter(runs.values())).record.data.class_names),
                        runs,
                        copy=copy,
                        diverged=diverged,
                        metric=metric,
                    )
                )
    softmax_runs = [e for e in found if e.formula == BASELINE and e.copy == 1]
    if softmax_runs:
        plain_softmax = next((e for e in softmax_runs if e.sampler == Sampler.NATURAL), softmax_runs[0])
        control = derived_entrant(plain_softmax, POST_HOC)
        found += [control] if control.runs else []
    return found


def derived_entrant(trained: Entrant, kind: str) -> Entrant:
    """Return what is derived from the runs of an entrant, without the seeds whose run lacks it.

    Args:
        trained: an entrant with runs.
        kind: one of `DERIVED`.
    """
    runs = {seed: run for seed, run in trained.runs.items() if not lacks(run, kind)}

    def answers(run: Run) -> Ints:
        return np.asarray(derived_scores(run, run.predictions, kind).argmax(axis=1), dtype=np.int32)

    return replace(
        trained,
        label=derived_name(trained.label, kind),
        derived=kind,
        runs=runs,
        predictions={seed: answers(run) for seed, run in runs.items()},
        seed_targets={seed: trained.seed_targets[seed] for seed in runs},
    )


def control_notes(entrants: Sequence[Entrant]) -> list[str]:
    """Return why plain softmax takes part without the control that is made of it, if it does."""
    if any(e.derived for e in entrants) or all(e.formula != BASELINE for e in entrants):
        return []
    return [
        "no entrant has shifted scores: without the natural sampler, the prior that the scores of softmax carry must "
        "be measured, which takes held-out images of every class and classes of different sizes"
    ]


def _order(records: Records) -> Callable[[tuple[str, int]], tuple[int, int]]:
    """Return the key that sorts (loss, copy) as the comparison lists them, copies last."""
    return lambda pair: (pair[1], records.losses.index(pair[0]))
