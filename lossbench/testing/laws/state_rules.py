"""Life: rules that move a state: what a momentum means, and what becomes of classes without a row."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..cases import fixed_case
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..probe import outcome
from ..trial import Trial
from ..violation import NotApplicableError, Violation

GROUP: Group = "Life"
_KEEPS = ("momentum", "decay", "ema", "ema_decay", "ema_momentum", "center_momentum", "state_momentum")
_TAKES = ("rate", "update_rate", "center_rate", "center_lr", "state_rate", "lr", "learning_rate", "step_size")


def _named(configuration: Configuration) -> dict[str, float]:
    """Return the hyper-parameters that say how much of a state is kept or taken, with values in (0, 1).

    A momentum below a half is taken for the share of the new value, as in torch's batch normalization.
    """
    held = {**configuration.spec.hyperparameters, **configuration.hyperparameters}
    numbers = {name: value for name, value in held.items() if isinstance(value, float) and 0 < value < 1}
    return {n: v for n, v in numbers.items() if n in _TAKES or (n in _KEEPS and v > 0.5)}


def _no_momentum(configuration: Configuration) -> str | None:
    if not is_stateful(configuration.specimen):
        return "it has no state that moves by a rule"
    if not configuration.started:
        return "its state has not started"
    return None if _named(configuration) else "it has no hyper-parameter that is called momentum, decay or rate"


@law(GROUP, searched=False, unless=_no_momentum)
def momentum_keeps(trial: Trial) -> None:
    """A larger momentum or decay moves the state less in a step, and a larger rate moves it more. Judged for
    hyper-parameters with these names; a momentum below one half is a share of the new value and is left out.

    Remedy: new state = momentum * old + (1 - momentum) * mean of the batch; call the share of the new value a rate.
    """
    for name, value in _named(trial.configuration).items():
        more = (1 + value) / 2
        moved, further = _step(trial, name, value), outcome(lambda n=name, v=more: _step(trial, n, v))  # type: ignore[misc]
        if not isinstance(further, float):
            raise NotApplicableError(f"it refuses {name}={more:g}")
        reversed_ = further > moved * (1 + 1e-6) if name in _KEEPS else further < moved * (1 - 1e-6)
        if reversed_:
            raise Violation(
                f"a step moves the state by {moved:.4g} with {name}={value:g}, by {further:.4g} with {more:g}"
            )


def _step(trial: Trial, name: str, value: float) -> float:
    """Return how far one step moves a state that has come to rest on another batch with the default."""
    changes: dict[str, Any] = {name: value}
    rested, loss = trial.build(), trial.build(**changes)
    case = fixed_case(size=24, classes=len(trial.case.class_counts), dim=trial.case.embedding_dim, seed=9)
    for _ in range(20):
        rested.update_state(trial.output(), trial.targets)
    loss.load_state_dict(rested.state_dict())
    loss.update_state(trial.output(case=case), case.labels())
    before, after = rested.state_dict(), loss.state_dict()
    moved = [after[key].double() - before[key].double() for key in before if before[key].is_floating_point()]
    squares: float = sum(float(each.nan_to_num().square().sum()) for each in moved)
    return math.sqrt(squares)


def _no_points(configuration: Configuration) -> str | None:
    if not is_stateful(configuration.specimen) or not configuration.started:
        return "it has no state that moves by a rule and has started"
    return None if _points(configuration) else "it has no state by class and dimension"


def _points(configuration: Configuration) -> dict[str, int]:
    return {n: a.index("class") for n, a in configuration.state_axes.items() if {"class", "embedding"} <= {*a}}


@law(GROUP, searched=False, unless=_no_points)
def absent_class_does_not_fade(trial: Trial) -> None:
    """A step does not shrink the point of a class that has no row in the batch towards 0: centers, means and prototypes
    stay or move, but do not fade. Points are states that `state_axes` declares by class and embedding.

    Remedy: move only the classes that have rows: a decay of the whole state forgets the others.
    """
    absent = len(trial.case.class_counts) - 1
    targets = trial.targets.clamp(max=absent - 1)
    for name, axis in _points(trial.configuration).items():
        shares = [_kept(trial, name, axis, targets, shift) for shift in (0.0, 1.0)]
        if all(share is not None and share < 1 - 1e-6 for share in shares):
            raise Violation(f"{name} of a class without a row is {shares[0]:.4g} times as long after a step")


def _kept(trial: Trial, name: str, axis: int, targets: Tensor, shift: float) -> float | None:
    """Return the factor by which a step shrinks the point of the last class, if it does only that."""
    loss = trial.build()
    before = trial.states(loss)[name].detach().select(axis, -1).double().clone()
    output = trial.changed(trial.output(), lambda t: t + shift, "embeddings")
    loss.update_state(output, targets)
    after = trial.states(loss)[name].detach().select(axis, -1).double()
    size = float(before.square().sum())
    if not size or not bool(after.isfinite().all()):
        return None
    share = float((before * after).sum()) / size
    only = torch.allclose(after, share * before, rtol=0, atol=1e-6 * size**0.5)
    return share if only else None
