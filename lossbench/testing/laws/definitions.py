"""Meaning: the loss is its definition: its declared limits, and its loop over scalars. Judged in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...expression import parse_formula
from ...loss import Loss
from ...registry import loss_info
from ...traits import Trait
from ...types import LoopBatch
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..trial import Trial

GROUP: Group = "Meaning"


def _no_limits(configuration: Configuration) -> str | None:
    if not configuration.spec.limits:
        return "it declares no limits"
    return "limits are judged at the defaults" if configuration.hyperparameters else None


@law(GROUP, off_kinks=1e-6, unless=_no_limits)
def limits(trial: Trial) -> None:
    """With the hyper-parameters of a declared limit the loss is exactly its parent (`LossSpec.limits`): power 0,
    gamma 0, tau 0.

    Remedy: look for a factor that does not become 1; correct `limits`.
    """
    spec = trial.configuration.spec
    output, targets = trial.output(), trial.targets
    for given, formula in spec.limits:
        (term,) = parse_formula(formula).terms
        parent_spec = loss_info(term.name)
        parent = parent_spec.factory(trial.case.context, **term.arguments).to(trial.dtype)
        loss = trial.build(**given)
        with torch.no_grad():
            for name, tensor in trial.states(loss).items():
                if name in parent.state_dict():
                    trial.states(parent)[name].copy_(tensor)
        what = ", ".join(f"{name}={value}" for name, value in given.items())
        expected, its_gradients = trial.gradients(loss, output, targets)
        reads = Configuration(spec=parent_spec).reads
        leaf = {name: getattr(output, name).clone().requires_grad_() for name in reads}
        value = parent(output._replace(**leaf), targets)
        trial.same(f"{what} against {formula}", expected, value.detach(), tolerance=1e-12)
        for name, gradient in zip(reads, torch.autograd.grad(value, list(leaf.values())), strict=True):
            trial.same(f"{what} against {formula}, gradient", its_gradients[name], gradient, tolerance=1e-11)


def _no_loop(configuration: Configuration) -> str | None:
    return None if configuration.spec.loop is not None else "it has no loop to compare with (LossSpec.loop)"


@law(GROUP, off_kinks=1e-6, unless=_no_loop)
def naive_loop(trial: Trial) -> None:
    """Value, gradient and the state after a step agree to 1e-11 with a loop over scalars, written independently from
    the definition (`LossSpec.loop`); and once more after that step, when some classes may have started and others not.

    Remedy: compare the two line by line, on the batch shown.
    """
    loss = trial.build()
    moved = _same_as_loop(trial, loss, trial.targets, "the loss")
    if not is_stateful(loss) or trial.configuration.declares(Trait.PIECEWISE):
        return
    loss.update_state(trial.output(), trial.targets)
    _same_moved_state(trial, loss, moved, "after a step")
    others = trial.targets
    others[-1] = (others[-1] + 1) % len(trial.case.class_counts)
    moved = _same_as_loop(trial, loss, others, "after a step the loss")
    loss.update_state(trial.output(), others)
    _same_moved_state(trial, loss, moved, "after two steps")


def _same_as_loop(trial: Trial, loss: Loss, targets: Tensor, what: str) -> Mapping[str, Any]:
    """Require the value and gradients of the loop; return the state after a step as the loop gives it, if it does."""
    spec, output = trial.configuration.spec, trial.output()
    leaves = {name: getattr(output, name).clone().requires_grad_() for name in trial.reads}
    batch = LoopBatch(
        leaves.get("embeddings", output.embeddings),
        leaves.get("logits", output.logits),
        targets.tolist(),
        trial.case.class_counts,
        {**spec.hyperparameters, **trial.configuration.hyperparameters},
        {name: tensor.detach().clone() for name, tensor in trial.states(loss).items() if name in loss.state_dict()},
    )
    assert spec.loop is not None
    given = spec.loop(batch)
    expected, moved = given if isinstance(given, tuple) else (given, {})
    expected = torch.as_tensor(expected)
    value, gradients = trial.gradients(loss, output, targets)
    trial.same(f"{what} against the loop", value, expected.detach(), tolerance=1e-11)
    connected = expected + 0 * sum(leaf.sum() for leaf in leaves.values())
    slopes = torch.autograd.grad(connected, list(leaves.values()))
    trial.same_gradients(f"{what} against the loop", gradients, dict(zip(leaves, slopes, strict=True)), tolerance=1e-10)
    return moved  # type: ignore[no-any-return]


def _same_moved_state(trial: Trial, loss: Loss, moved: Mapping[str, Any], when: str) -> None:
    states = trial.states(loss)
    for name, rows in moved.items():
        expected = torch.as_tensor(rows, dtype=torch.float64)
        trial.same_state(f"{name} {when} against the loop", states[name], expected, tolerance=1e-11)
