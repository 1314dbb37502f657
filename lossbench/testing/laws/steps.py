"""Life: a state that moves by a rule moves, and settles."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ...loss import Loss
from ..cases import fixed_case
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Life"


def _call(loss: Loss, trial: Trial) -> Tensor:
    value: Tensor = loss(trial.output(), trial.targets)
    return value.detach()


def _no_steps(configuration: Configuration) -> str | None:
    return None if is_stateful(configuration.specimen) else "it has no state that moves by a rule"


@law(GROUP, searched=False, unless=_no_steps)
def steps_settle(trial: Trial) -> None:
    """After 100 steps of the state on one batch of many rows the value is finite, and not ten times as large as after
    the first steps: a state that follows the data stays with it. With the default hyper-parameters the steps change
    something.

    Remedy: move a state by means, not by sums; divide by the count of a class; look at the sign of the step. Write in
    place: `self.mean[label] += …`, `lerp_` and `copy_`, not `lerp`.
    """
    classes, dim = len(trial.case.class_counts), trial.case.embedding_dim
    case = fixed_case(size=64, classes=classes, dim=dim, seed=3)
    means = fixed_case(size=classes, classes=classes, dim=dim)
    rows = zip(case.embeddings, case.targets, strict=True)
    apart = tuple(tuple(a + 2 * b for a, b in zip(row, means.embeddings[y], strict=True)) for row, y in rows)
    big = Trial(trial.configuration, replace(case, class_counts=trial.case.class_counts, embeddings=apart))
    loss = big.build()
    at_first = copy.deepcopy(loss.state_dict())
    early = [_call(loss, big)]
    for step in range(100):
        loss.update_state(big.output(), big.targets)
        if step == 0:
            early.append(_call(loss, big))
    late, most = _call(loss, big), max(float(value.abs()) for value in early)
    big.finite("the value after 100 steps", late)
    same = all(
        torch.allclose(t, at_first[name], rtol=0, atol=0, equal_nan=True) for name, t in loss.state_dict().items()
    )
    if same and late.equal(early[0]) and not trial.configuration.hyperparameters and _rests(big):
        raise Violation("100 steps change neither the state nor the value")
    if abs(float(late)) > 10 * max(most, 1e-3):
        raise Violation(f"after 100 steps on one batch the value is {float(late):.6g}, at most {most:.6g} at first")


def _rests(trial: Trial) -> bool:
    """Return whether a step does not move the state either if most rows are of one class."""
    loss = trial.build()
    before = copy.deepcopy(loss.state_dict())
    loss.update_state(trial.output(), trial.targets // 2)
    return all(torch.allclose(t, before[name], rtol=0, atol=0, equal_nan=True) for name, t in loss.state_dict().items())
