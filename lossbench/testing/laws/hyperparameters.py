"""Life: every hyper-parameter has an effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...traits import Trait
from ..cases import LARGEST_COUNT, Case
from ..configuration import Configuration, is_scheduled, is_stateful
from ..explicit_weights import takes_weights, weighted
from ..law import Group, find_law, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Life"


_TRIED = (0.0, 0.1, 0.25, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 8.0, 50.0)


def _numbers_and_flags(configuration: Configuration) -> dict[str, Any]:
    """Return the hyper-parameters whose values are numbers or flags; of a third-party loss, the decimal ones.

    The weight of a part that is None weighs nothing and is left out: `part_weight=1` beside `part=None`.
    """
    held = {**configuration.spec.hyperparameters, **configuration.hyperparameters}
    kinds: Any = float if configuration.undeclared_is_unknown else bool | int | float
    absent = tuple(name for name, value in held.items() if value is None)
    weights = [name for name in held if name.endswith("_weight")]
    idle = {name for name in weights if any(each.startswith(name.removesuffix("_weight")) for each in absent)}
    return {name: value for name, value in held.items() if isinstance(value, kinds) and name not in idle}


def _no_numbers(configuration: Configuration) -> str | None:
    if configuration.hyperparameters:
        return "judged at the defaults"
    return None if _numbers_and_flags(configuration) else "it has no hyper-parameters that are numbers or flags"


@law(GROUP, searched=False, fresh_only=True, unless=_no_numbers)
def every_hyperparameter_matters(trial: Trial) -> None:
    """Each hyper-parameter that is a number or a flag changes something: the value or gradient of some batch, in the
    first or last epoch, before or after steps, the state, the scores, or the parameter groups. The weight of a part
    that is None is left out.

    Remedy: remove the hyper-parameter, or use it; name a variant in which it matters in `LossSpec.variants`.
    """
    spec = trial.configuration.spec
    bases = [dict(trial.configuration.hyperparameters), *map(dict, spec.variants)]
    dead = []
    for name, value in _numbers_and_flags(trial.configuration).items():
        tried = [_tried(trial, base, name, base.get(name, value)) for base in bases]
        if any(moved for moved, _ in tried) or not any(alternatives for _, alternatives in tried):
            continue
        dead.append(f"{name} ({', '.join(map(repr, [value, *tried[0][1]]))} give the same)")
    if dead:
        raise Violation(f"nothing changes with {'; '.join(dead)}")


def _tried(trial: Trial, base: dict[str, Any], name: str, value: Any) -> tuple[bool, list[Any]]:
    """Return whether another value of a hyper-parameter changes anything, and the values that were accepted."""
    if isinstance(value, bool):
        values: list[Any] = [not value]
    else:
        near = [value * 2, value / 2, -value, *_TRIED]
        near = [int(each) for each in (*near, 2, 5, 7)] if isinstance(value, int) else near
        values = [each for each in dict.fromkeys(near) if each != value]
    expected, accepted = _signature(trial, {**base, name: value}), []
    for each in values:
        found = _signature(trial, {**base, name: each})
        if found is None or expected is None:
            continue
        accepted.append(each)
        if len(found) != len(expected) or any(not _bits(a, b) for a, b in zip(found, expected, strict=True)):
            return True, accepted
    return False, accepted


def _bits(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _signature(trial: Trial, hyperparameters: dict[str, Any]) -> list[Tensor] | None:
    """Return numbers that tell what a loss does with these hyper-parameters; None if they are refused."""
    configuration = replace(trial.configuration, hyperparameters=hyperparameters)
    found: list[Tensor] = []
    try:
        for case in _revealing_cases(trial):
            each = Trial(configuration, case)
            loss = configuration.build(case.context, trial.dtype)
            for epoch in ((0, 6), (5, 6)) if is_scheduled(loss) else ((0, 1),):
                loss.begin_epoch(*epoch)
                for step in range(3 if is_stateful(loss) else 1):
                    value, gradients = each.gradients(loss, each.output(), each.targets)
                    found += [value, *gradients.values()]
                    loss.update_state(each.changed(each.output(), lambda t, s=step: (1 + s) * t + s), each.targets)  # type: ignore[misc]
            found += [t.detach().double() for t in loss.state_dict().values()]
            found += [loss.scores(each.output())] if not configuration.spec.auxiliary else []
            numbers = [float(v) for g in loss.param_groups() for v in g.values() if isinstance(v, int | float)]
            found.append(torch.tensor(numbers))
    except Exception:  # a value that makes no sense
        return None
    return found


def _revealing_cases(trial: Trial) -> Iterator[Case]:
    """Yield an ordinary batch, half of its classes, class counts from 1 to 134,415, large values, zeros, and coincident
    rows.
    """
    case = trial.case
    yield case
    yield case.with_targets(tuple(target // 2 for target in case.targets))
    yield replace(case, class_counts=tuple(max(1, LARGEST_COUNT // 40**c) for c in range(len(case.class_counts))))
    yield replace(case, logits=tuple(tuple(30 * v for v in row) for row in case.logits))
    yield replace(
        case,
        logits=tuple(tuple(0.0 for _ in row) if i % 3 == 0 else row for i, row in enumerate(case.logits)),
        embeddings=tuple(tuple(0.0 for _ in row) if i % 3 == 0 else row for i, row in enumerate(case.embeddings)),
    )
    yield replace(
        case, embeddings=tuple(tuple(0.05 * v + (i % 4) for v in row) for i, row in enumerate(case.embeddings))
    )


def _no_weight(configuration: Configuration) -> str | None:
    return None if takes_weights(configuration) else "it takes no explicit class weights"


@law(GROUP, searched=False, unless=_no_weight)
def linear_in_the_weight(trial: Trial) -> None:
    """The cost of a row is proportional to the explicit weight of its class, or, where it is divided by the weights of
    the batch, does not depend on it. Where the weights of other classes have a part in it, as with smoothed labels, it
    grows linearly with the weight of its class, and in proportion to all weights together. With explicit weights, too,
    a loss that is declared samplewise is the mean of its rows.

    Remedy: apply the weight to the whole loss of a row, after every other factor, and divide by the number of rows.
    """
    ones = torch.ones(len(trial.case.class_counts), dtype=trial.dtype)
    own = torch.zeros_like(ones).index_fill(0, torch.tensor(trial.case.targets[0]), 1.0)
    one, two, ten, doubled = (_cost(trial, weights) for weights in (ones, ones + own, ones + 9 * own, 2 * ones))
    size = 1e-6 * abs(one)
    linear = abs(ten - one - 9 * (two - one)) <= 9 * size and abs(doubled - 2 * one) <= size and two >= one
    constant = all(abs(cost - one) <= size for cost in (two, ten, doubled))
    if not (linear or constant):
        raise Violation(f"weights of 1, 2 and 10 cost {one:.6g}, {two:.6g}, {ten:.6g}, and all weights 2 {doubled:.6g}")
    weights = weighted(trial.configuration, ones.cumsum(0))
    with_weights = replace(trial.configuration, hyperparameters={**trial.configuration.hyperparameters, **weights})
    if with_weights.declares(Trait.SAMPLEWISE) and not with_weights.undeclared_is_unknown:
        find_law("mean-of-rows").judge(Trial(with_weights, trial.case))


def _cost(trial: Trial, weights: Tensor) -> float:
    """Return the value of the first row alone, with explicit weights."""
    case = trial.case.first_rows(1)
    loss = trial.build(case=case, **weighted(trial.configuration, weights))
    return float(loss(trial.output(case=case), case.labels()).detach())
