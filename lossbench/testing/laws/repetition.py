"""Meaning: the value of a repeated batch. Judged in float64."""

from __future__ import annotations

from torch import Tensor

from ...traits import Trait
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Meaning"


@law(GROUP, off_kinks=1e-6)
def repeated_batch(trial: Trial) -> None:
    """Repeating the whole batch three times changes nothing: the loss is a mean, never a sum. A loss declared
    batch-coupled sees new pairs in the repetition; its value must not grow in proportion to the batch, nor fall so.

    Remedy: divide by the number of rows, or of the pairs that were added up, once.
    """
    if trial.configuration.declares(Trait.BATCH_COUPLED):
        _is_no_sum_over_pairs(trial)
        return
    trial.same("three times the batch against once", _repeated(trial, 3), _repeated(trial, 1))


def _repeated(trial: Trial, times: int) -> Tensor:
    output = trial.changed(trial.output(), lambda t: t.repeat(times, 1), "logits", "embeddings")
    value: Tensor = trial.loss(output, trial.targets.repeat(times))
    return value.detach()


_MOST_ROWS = 6  # eight times as many still fit losses that list pairs of pairs


def _is_no_sum_over_pairs(trial: Trial) -> None:
    """Refute growth by ever the same amount a row, or faster: the log of a sum over pairs grows more and more slowly.

    What falls is the size of the value: a mean that is divided by the rows once more halves when they double.
    """
    if len(trial.targets) > _MOST_ROWS:
        return
    two, four, eight = (float(_repeated(trial, times)) for times in (2, 4, 8))
    rounding = max(1e-9, trial.rounding) * max(abs(eight), abs(two))
    grows = (eight - four) - 2 * (four - two) >= -rounding and eight - four > max(0.2 * abs(eight), 1e-3)
    halves = abs(two) > 1e-3 and all(0.4 < abs(b) / max(abs(a), 1e-12) < 0.6 for a, b in ((two, four), (four, eight)))
    if grows or halves:
        what = "grows in proportion to" if grows else "falls with"
        values = f"{two:.6g}, {four:.6g}, {eight:.6g}"
        raise Violation(f"the value {what} the number of rows: {values} for the batch 2, 4 and 8 times")
