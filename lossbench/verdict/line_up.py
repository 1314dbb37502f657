"""The entrants of a comparison, from its records."""

from __future__ import annotations

from collections.abc import Callable
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
        found.append(derived_entrant(plain_softmax, POST_HOC))
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


def _order(records: Records) -> Callable[[tuple[str, int]], tuple[int, int]]:
    """Return the key that sorts (loss, copy) as the comparison lists them, copies last."""
    return lambda pair: (pair[1], records.losses.index(pair[0]))
