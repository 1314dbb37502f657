"""Meaning: what reads class counts works for the rare classes."""

from __future__ import annotations

import itertools
from dataclasses import replace

from ..cases import fixed_case
from ..configuration import Configuration
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Meaning"


def _counts_do_not_matter(configuration: Configuration) -> str | None:
    return None if configuration.counts_matter else "it does not read class counts"


@law(GROUP, searched=False, reads="logits", unless=_counts_do_not_matter)
def rare_classes_cost_no_less(trial: Trial) -> None:
    """At equal logits, a row of a rarer class costs no less than a row of a more frequent one: what reads class counts
    works for the rare classes.

    Remedy: look at the sign of a prior, a margin or the power of a weight. In training, logits + log prior favor the
    rare classes; at test time, logits - log prior do.
    """
    counts = (1000, 100, 10)
    dim = trial.configuration.fitting_dim(len(counts), 6)
    case = replace(fixed_case(size=len(counts), classes=len(counts), dim=dim), class_counts=counts)
    task = Trial(trial.configuration, case)
    flat = task.changed(task.output(), lambda t: 0 * t, "logits")
    costs = []
    for row in range(len(counts)):
        alone = task.changed(flat, lambda t, i=row: t[i : i + 1], "logits", "embeddings")  # type: ignore[misc]
        costs.append(float(task.loss(alone, task.targets[row : row + 1]).detach()))
    for frequent, rare in itertools.pairwise(range(len(counts))):
        if costs[rare] < costs[frequent] - max(1e-9, trial.rounding) * abs(costs[frequent]):
            raise Violation(
                f"a row of a class with {counts[rare]} images costs {costs[rare]:.6g}, and one of a class with "
                f"{counts[frequent]} images {costs[frequent]:.6g}"
            )
