"""Symmetry: the numbers of the classes do not matter. Judged in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...loss import Loss
from ...traits import Trait
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation
from .reordering import shuffled

GROUP: Group = "Symmetry"


def undeclared_axes(configuration: Configuration) -> str | None:
    undeclared = sorted(set(configuration.specimen.state_dict()) - set(configuration.spec.state_axes))
    return f"`state_axes` does not declare the axes of {', '.join(undeclared)}" if undeclared else None


@law(GROUP, off_kinks=1e-6, unless=undeclared_axes)
def renamed_classes(trial: Trial) -> None:
    """Renumbering the classes, together with class counts, logits, scores and state by class, changes nothing. A state
    that is derived from the class counts is renumbered by building the loss for the renumbered counts.

    Remedy: state what the axes of a state are in `state_axes`; look for a class that is treated apart, and for a rank
    that is taken for a class number or the reverse.
    """
    counts = trial.case.class_counts
    order = shuffled(len(counts), sum(counts)).tolist()  # new class k was class order[k]
    try:
        _is_renamed(trial, trial.configuration, order)
    except Violation:
        if not (reason := _class_apart(trial, order)):
            raise
        trial.excuse(reason)


def _is_renamed(trial: Trial, configuration: Configuration, order: list[int], constants: Sequence[str] = ()) -> None:
    counts, new = trial.case.class_counts, torch.tensor(order)
    place = torch.tensor([order.index(c) for c in range(len(counts))])
    renamed = Trial(configuration, replace(trial.case, class_counts=tuple(counts[c] for c in order)))
    loss, other = trial.build(), renamed.build()
    states, others = trial.states(loss), trial.states(other)
    if unknown := _never_held(trial.configuration):
        raise Violation(f"state_axes names {', '.join(unknown)}, which the loss does not have", silent=False)
    if not (configuration.started or trial.configuration.is_random):
        _derived_state_is_renamed(trial, other, new)
    with torch.no_grad():
        for name, axes in trial.configuration.state_axes.items():
            moved = states[name]
            for dimension, axis in enumerate(axes):
                moved = moved.index_select(dimension, new) if axis == "class" else moved
            others[name].copy_(moved)
        for name in constants:
            others[name].copy_(states[name].index_select(0, new))
    output, targets = trial.output(), trial.targets
    relabelled = output._replace(logits=output.logits[:, order])
    value, gradients = trial.gradients(loss, output, targets)
    found, its_gradients = trial.gradients(other, relabelled, place[targets])
    trial.same("renumbered against original", found, value)
    if "logits" in gradients:
        gradients["logits"] = gradients["logits"][:, order]
    trial.same_gradients("renumbered", its_gradients, gradients)
    if "logits" in trial.reads and not configuration.spec.auxiliary:
        trial.same("scores, renumbered against original", other.scores(relabelled), loss.scores(output)[:, order])
    if is_stateful(loss):
        loss.update_state(output, targets)
        other.update_state(relabelled, place[targets])
        trial.move_state(loss, "class", lambda t, dimension: t.index_select(dimension, new))
        trial.same_states(other, loss)


def _never_held(configuration: Configuration) -> list[str]:
    """Return the states that `state_axes` names and the loss has with no hyper-parameters that are judged."""
    missing = configuration.spec.state_axes.keys() - configuration.state_axes.keys()
    for variant in configuration.spec.variants if missing else ():
        missing -= replace(configuration, hyperparameters=variant).state_axes.keys()
    return sorted(missing)


def _derived_state_is_renamed(trial: Trial, renamed: Loss, order: Tensor) -> None:
    """Require that state which is not drawn at random follows the class counts."""
    first, again = trial.states(trial.build()), trial.states(trial.build(case=trial.case, seed=9))
    others = trial.states(renamed)
    for name, axes in trial.configuration.state_axes.items():
        if "class" not in axes or name not in first or not torch.allclose(first[name], again[name], equal_nan=True):
            continue
        moved = first[name].detach().index_select(axes.index("class"), order)
        what = f"{name} of a loss built for renumbered classes against the renumbered {name}"
        trial.same_state(what, others[name].detach(), moved, tolerance=1e-6)


def _class_apart(trial: Trial, order: list[int]) -> str | None:
    """Return why a loss treats a class apart on purpose: a hyper-parameter names it, or the seed draws it."""
    spec, configuration = trial.configuration.spec, trial.configuration
    held = {**spec.hyperparameters, **configuration.hyperparameters}
    renamed = {name: new for name, value in held.items() if (new := _renamed_value(value, order)) != value}
    choices = [{name: value} for name, value in renamed.items()] + ([renamed] if len(renamed) > 1 else [])
    for changes in choices:
        try:
            _is_renamed(
                trial, replace(configuration, hyperparameters={**configuration.hyperparameters, **changes}), order
            )
        except Exception:  # not this one
            continue
        return f"{' and '.join(changes)} names classes, and holds if it is renumbered, too"
    points = _points_by_class(trial)
    try:
        if points:
            _is_renamed(trial, configuration, order, points)
            return f"{', '.join(points)} holds a fixed point for each class"
    except Exception:  # not that either
        pass
    return "what its seed draws treats classes apart" if _seed_draws_more_than_state(trial) else None


def _points_by_class(trial: Trial) -> list[str]:
    """Return the buffers of shape (C, D) that are not saved and do not depend on the class counts."""
    shape = (len(trial.case.class_counts), trial.case.embedding_dim)
    turned = replace(trial.case, class_counts=trial.case.class_counts[::-1])
    loss, other = trial.build(), dict(trial.build(case=turned).named_buffers())
    saved = loss.state_dict().keys()
    return [
        name
        for name, buffer in loss.named_buffers()
        if name not in saved and tuple(buffer.shape) == shape and torch.equal(buffer, other[name])
    ]


def _renamed_value(value: Any, order: list[int]) -> Any:
    """Return a hyper-parameter as it is after renumbering, if it is a class, classes, or one number for each class."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(order):
        return order.index(value)
    if isinstance(value, list | tuple) and value and all(isinstance(each, int | float) for each in value):
        if len(value) == len(order):
            return type(value)(value[c] for c in order)
        if all(isinstance(each, int) and 0 <= each < len(order) for each in value):
            return type(value)(order.index(each) for each in value)
    return value


def _seed_draws_more_than_state(trial: Trial) -> bool:
    loss, other = trial.build(), trial.build(seed=9)
    with torch.no_grad():
        for name in trial.configuration.state_axes:
            trial.states(other)[name].copy_(trial.states(loss)[name])
    output, targets = trial.output(), trial.targets
    return not torch.equal(loss(output, targets), other(output, targets))


@law(GROUP, trait=Trait.LABEL_EQUALITY, reads="embeddings", off_kinks=1e-6)
def only_equality_of_labels(trial: Trial) -> None:
    """Only which labels are equal matters: permuting the label numbers alone changes nothing (trait label-equality).

    Remedy: compare labels with each other only, or do not declare the trait.
    """
    counts = trial.case.class_counts
    output, other = trial.output(), shuffled(len(counts), sum(counts))
    found = trial.loss(output, other[trial.targets])
    trial.same(f"label numbers become {other.tolist()}", found, trial.loss(output, trial.targets))
