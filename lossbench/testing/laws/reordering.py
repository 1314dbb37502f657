"""Symmetry: the order of the rows of a batch does not matter.

Judged in float64. After the value and the gradient, the state that a step leaves behind is compared, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...loss import Loss
from ...losses.row_loss import RowLoss
from ...traits import Trait
from ..configuration import is_stateful
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Symmetry"


_LONGEST_QUEUE = 64  # a queue that is shorter than a batch keeps some of its rows, by their order


def shuffled(size: int, seed: int) -> Tensor:
    """An order of `size` things that is not the one they are in, and has no pattern such as a rotation."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    return order if not order.equal(torch.arange(size)) else order.flip(0)


@law(GROUP, off_kinks=1e-6)
def order_of_rows(trial: Trial) -> None:
    """Permuting the batch changes nothing: same value, permuted gradient, and after a step the same state, or one that
    gives the same value (a queue has an order that does not matter).

    Remedy: look for running sums, shifts or pairings by position.
    """
    output, targets = trial.output(), trial.targets
    order = shuffled(len(targets), trial.case.class_counts[0])
    permuted = trial.changed(output, lambda t: t[order], "logits", "embeddings")
    value, gradients = trial.gradients(trial.loss, output, targets)
    moved, its_gradients = trial.gradients(trial.loss, permuted, targets[order])
    trial.same("the permuted batch against the batch", moved, value)
    trial.same_gradients("permuted", its_gradients, {name: g[order] for name, g in gradients.items()})
    if is_stateful(trial.loss) and len(targets) < _LONGEST_QUEUE:
        loss, other = trial.build(), trial.build()
        loss.update_state(output, targets)
        other.update_state(permuted, targets[order])
        try:
            trial.same_states(other, loss)
        except Violation:
            if not torch.isclose(other(output, targets), loss(output, targets), rtol=1e-9):
                raise


@law(GROUP, trait=Trait.SAMPLEWISE)
def mean_of_rows(trial: Trial) -> None:
    """The value of a batch is the mean of the values of its rows (trait samplewise). If the loss defines `per_sample`,
    it gives these values.

    Remedy: divide by the number of rows, not by a sum of weights or by the classes present; or declare what couples
    rows: batch-coupled. Weights belong into `per_sample`, whose mean is the loss.
    """
    output, targets = trial.output(), trial.targets
    rows = [
        trial.loss(trial.changed(output, lambda t, i=i: t[i : i + 1], "logits", "embeddings"), targets[i : i + 1])  # type: ignore[misc]
        for i in range(len(targets))
    ]
    trial.same("the batch against the mean of its rows", trial.loss(output, targets), torch.stack(rows).mean())
    if type(trial.loss).per_sample not in (Loss.per_sample, RowLoss.per_sample):
        trial.same("per_sample against the rows", trial.loss.per_sample(output, targets), torch.stack(rows))
