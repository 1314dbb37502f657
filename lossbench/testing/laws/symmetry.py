"""Symmetry: what must not matter does not. Judged in float64; after the value and the gradient, the state that a
step leaves behind must answer to the same symmetry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

GROUP: Group = "Symmetry"
_LONGEST_QUEUE = 64  # a queue that is shorter than a batch keeps some of its rows, by their order


def _same_state(trial: Trial, found: Loss, expected: Loss) -> None:
    held = trial.states(expected)
    for name, tensor in trial.states(found).items():
        if name in expected.state_dict() and tensor.is_floating_point():
            trial.same_state(f"{name} after a step", tensor, held[name], tolerance=1e-8)


def _shuffled(size: int, seed: int) -> Tensor:
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
    order = _shuffled(len(targets), trial.case.class_counts[0])
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
            _same_state(trial, other, loss)
        except Violation:
            if not torch.isclose(other(output, targets), loss(output, targets), rtol=1e-9):
                raise


@law(GROUP, trait=Trait.SAMPLEWISE)
def mean_of_rows(trial: Trial) -> None:
    """The value of a batch is the mean of the values of its rows (trait samplewise).

    Remedy: divide by the number of rows, not by a sum of weights or by the classes present; or declare what couples
    rows: batch-coupled.
    """
    output, targets = trial.output(), trial.targets
    rows = [
        trial.loss(trial.changed(output, lambda t, i=i: t[i : i + 1], "logits", "embeddings"), targets[i : i + 1])  # type: ignore[misc]
        for i in range(len(targets))
    ]
    trial.same("the batch against the mean of its rows", trial.loss(output, targets), torch.stack(rows).mean())


def _undeclared_axes(configuration: Configuration) -> str | None:
    undeclared = sorted(set(configuration.specimen.state_dict()) - set(configuration.spec.state_axes))
    return f"`state_axes` does not declare the axes of {', '.join(undeclared)}" if undeclared else None


@law(GROUP, off_kinks=1e-6, unless=_undeclared_axes)
def renamed_classes(trial: Trial) -> None:
    """Renumbering the classes, together with class counts, logits, scores and state by class, changes nothing. A state
    that is derived from the class counts is renumbered by building the loss for the renumbered counts.

    Remedy: state what the axes of a state are in `state_axes`; look for a class that is treated apart, and for a rank
    that is taken for a class number or the reverse.
    """
    counts = trial.case.class_counts
    order = _shuffled(len(counts), sum(counts)).tolist()  # new class k was class order[k]
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
    if unknown := sorted(trial.configuration.spec.state_axes.keys() - states.keys()):
        raise Violation(f"state_axes names {', '.join(unknown)}, which the loss does not have", silent=False)
    if not (configuration.started or trial.configuration.is_random):
        _derived_state_is_renamed(trial, other, new)
    with torch.no_grad():
        for name, axes in trial.configuration.spec.state_axes.items():
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
        _same_state(trial, other, loss)


def _derived_state_is_renamed(trial: Trial, renamed: Loss, order: Tensor) -> None:
    """Require that state which is not drawn at random follows the class counts."""
    first, again = trial.states(trial.build()), trial.states(trial.build(case=trial.case, seed=9))
    others = trial.states(renamed)
    for name, axes in trial.configuration.spec.state_axes.items():
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
        for name in trial.configuration.spec.state_axes:
            trial.states(other)[name].copy_(trial.states(loss)[name])
    output, targets = trial.output(), trial.targets
    return not torch.equal(loss(output, targets), other(output, targets))


@law(GROUP, trait=Trait.LABEL_EQUALITY, reads="embeddings", off_kinks=1e-6)
def only_equality_of_labels(trial: Trial) -> None:
    """Only which labels are equal matters: permuting the label numbers alone changes nothing (trait label-equality).

    Remedy: compare labels with each other only, or do not declare the trait.
    """
    counts = trial.case.class_counts
    output, other = trial.output(), _shuffled(len(counts), sum(counts))
    found = trial.loss(output, other[trial.targets])
    trial.same(f"label numbers become {other.tolist()}", found, trial.loss(output, trial.targets))


@law(GROUP, trait=Trait.SHIFT_INVARIANT, reads="logits")
def shift_of_logits(trial: Trial) -> None:
    """Adding a number to all logits of a row changes nothing, so each row of the gradient sums to 0
    (trait shift-invariant).

    Remedy: normalise logits by `log_softmax`, or do not declare the trait.
    """
    output, targets = trial.output(), trial.targets
    shift = 1 + torch.arange(len(targets), dtype=trial.dtype).unsqueeze(1)
    value, gradients = trial.gradients(trial.loss, output, targets)
    found = trial.loss(output._replace(logits=output.logits + shift), targets)
    trial.same("shifted against unshifted", found, value)
    sums = gradients["logits"].sum(dim=1)
    trial.same("sums of the rows of the gradient", sums, torch.zeros_like(sums), scale=1.0)


def _with_moved_state(trial: Trial, change: Callable[[Tensor], Tensor]) -> Loss:
    """The loss with `change` applied to its state along embedding axes: rows of length D in, rows out."""

    def along(tensor: Tensor, dimension: int) -> Tensor:
        return change(tensor.movedim(dimension, -1)).movedim(-1, dimension)

    loss = trial.build()
    trial.move_state(loss, "embedding", along)
    return loss


def _moves_nothing(trial: Trial, change: Callable[[Tensor], Tensor], turn: Callable[[Tensor], Tensor]) -> None:
    """`change` of embeddings and state keeps the value, turns the gradient by `turn`, and commutes with a step."""
    output, targets = trial.output(), trial.targets
    moved = trial.changed(output, change, "embeddings")
    loss = _with_moved_state(trial, change)
    value, gradients = trial.gradients(trial.loss, output, targets)
    found, its_gradients = trial.gradients(loss, moved, targets)
    trial.same("moved against unmoved", found, value, tolerance=1e-8)
    gradients["embeddings"] = turn(gradients["embeddings"])
    trial.same_gradients("moved", its_gradients, gradients)
    if is_stateful(loss):
        expected = trial.build()
        expected.update_state(output, targets)
        trial.move_state(expected, "embedding", lambda t, d: change(t.movedim(d, -1)).movedim(-1, d))
        loss.update_state(moved, targets)
        _same_state(trial, loss, expected)


@law(GROUP, trait=Trait.TRANSLATION_INVARIANT, reads="embeddings", off_kinks=1e-6, unless=_undeclared_axes)
def translation(trial: Trial) -> None:
    """Moving embeddings and state together by one vector changes nothing (trait translation-invariant).

    Remedy: use differences of embeddings only, and start a state from data; or do not declare the trait.
    """
    offset = torch.linspace(-0.5, 2.5, trial.case.embedding_dim, dtype=trial.dtype)
    _moves_nothing(trial, lambda rows: rows + offset, lambda gradient: gradient)


@law(GROUP, trait=Trait.ROTATION_INVARIANT, reads="embeddings", off_kinks=1e-6, unless=_undeclared_axes)
def rotation(trial: Trial) -> None:
    """Rotating embeddings and state together changes nothing (trait rotation-invariant).

    Remedy: use distances and inner products only, not single coordinates; or do not declare the trait.
    """
    dim = trial.case.embedding_dim
    generator = torch.Generator().manual_seed(dim)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0].to(trial.dtype)
    _moves_nothing(trial, lambda rows: rows @ turn, lambda gradient: gradient @ turn)


@law(GROUP, trait=Trait.SCALE_INVARIANT, reads="embeddings", off_kinks=1e-6)
def scale(trial: Trial) -> None:
    """Multiplying the embeddings by a positive number changes nothing (trait scale-invariant).

    Remedy: normalise every use of the embeddings, or do not declare the trait.
    """
    output, targets = trial.output(), trial.targets
    expected, gradients = trial.gradients(trial.loss, output, targets)
    for factor in (3.0, 0.125):
        scaled = trial.changed(output, lambda t, a=factor: a * t, "embeddings")  # type: ignore[misc]
        found, its_gradients = trial.gradients(trial.loss, scaled, targets)
        trial.same(f"times {factor:g} against unscaled", found, expected)
        gradient = factor * its_gradients["embeddings"]
        trial.same(f"times {factor:g}, gradient", gradient, gradients["embeddings"], tolerance=1e-8)


def _no_homogeneity(configuration: Configuration) -> str | None:
    return None if configuration.specimen.homogeneity is not None else "it declares no homogeneity"


@law(GROUP, reads="embeddings", off_kinks=1e-6, unless=_no_homogeneity)
def change_of_unit(trial: Trial) -> None:
    """With embeddings and state times a, and hyper-parameters as the loss declares, the value is a**degree times as
    large (`Loss.homogeneity`).

    Remedy: look for a constant that has a unit and is hidden in the formula; correct `homogeneity`.
    """
    homogeneity = trial.loss.homogeneity
    assert homogeneity is not None
    factor = 2.5
    spec = trial.configuration.spec
    held = {**spec.hyperparameters, **trial.configuration.hyperparameters}
    changes = {name: held[name] * factor**power for name, power in homogeneity.hyperparameters.items()}
    loss = trial.build(**changes)
    with torch.no_grad():  # a state that was started with other hyper-parameters lies elsewhere
        for name, tensor in trial.states(trial.loss).items():
            scaled = tensor * factor if "embedding" in spec.state_axes.get(name, ()) else tensor
            trial.states(loss)[name].copy_(scaled)
    output, targets = trial.output(), trial.targets
    scaled_output = trial.changed(output, lambda t: factor * t, "embeddings")
    expected = factor**homogeneity.degree * trial.loss(output, targets)
    trial.same(f"embeddings times {factor:g}", loss(scaled_output, targets), expected, tolerance=1e-8)
    if is_stateful(loss):
        expected_loss = trial.build()
        expected_loss.update_state(output, targets)
        trial.move_state(expected_loss, "embedding", lambda t, dimension: t * factor)
        loss.update_state(scaled_output, targets)
        _same_state(trial, loss, expected_loss)


@law(GROUP, trait=Trait.TRANSLATION_INVARIANT, reads="embeddings", off_kinks=1e-3, unless=_undeclared_axes)
def float32_far_from_the_origin(trial: Trial) -> None:
    """In float32, embeddings and state moved by 1e3 give the unmoved value within 1e-3 (trait
    translation-invariant). All numbers of the batch are exact at both places.

    Remedy: |x - c|² as a sum of squared differences, not as x² + c² - 2xc, which cancels.
    """
    output, targets = trial.output(torch.float32), trial.targets
    values = []
    for offset in (0.0, 1000.0):
        loss = trial.build(torch.float32)
        trial.move_state(loss, "embedding", lambda t, dimension, o=offset: (t * 1024).round() / 1024 + o)  # type: ignore[misc]
        moved = trial.changed(output, lambda t, o=offset: t + o, "embeddings")  # type: ignore[misc]
        values.append(loss(moved, targets))
    trial.same("moved by 1000 against unmoved", values[1], values[0], tolerance=1e-3)
