"""Size and scale: parts of a batch, and the precision that a loss computes in."""

from __future__ import annotations

import torch

from ...traits import Trait
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Size and scale"


@law(GROUP, trait=Trait.SHARDABLE, off_kinks=1e-6)
def mean_of_shards(trial: Trial) -> None:
    """The mean of the values of two halves of a batch is the value of the batch (trait shardable).

    Remedy: divide by the number of rows, not by a sum of weights; or do not declare the trait.
    """
    half = (len(trial.targets) + 1) // 2
    order = torch.arange(2 * half) % len(trial.targets)  # an odd batch gets its first row twice
    output = trial.changed(trial.output(), lambda t: t[order], "logits", "embeddings")
    targets = trial.targets[order]
    halves = [
        trial.loss(trial.changed(output, lambda t, part=part: t[part], "logits", "embeddings"), targets[part])  # type: ignore[misc]
        for part in (slice(0, half), slice(half, None))
    ]
    trial.same("the mean of two halves against the batch", (halves[0] + halves[1]) / 2, trial.loss(output, targets))


@law(GROUP, searched=False, kind="precision", compares=False)
def computes_in_float64(trial: Trial) -> None:
    """Inputs and state in float64 are taken, and the value is computed in float64.

    A loss that cannot do so is judged in float32 by all other laws, less strictly.

    Remedy: convert what is given in half precision with `.float()`, and leave float64 alone; make new tensors in the
    type of the inputs.
    """
    if found := trial.configuration.low_precision:
        refuses = "refuses" in found
        raise Violation(found, silent=not refuses, kind="unclear refusal" if refuses else "precision")
