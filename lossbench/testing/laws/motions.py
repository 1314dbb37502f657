"""Symmetry: a loss that declares it is the same for inputs that are shifted, rotated or scaled. Judged in float64."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...loss import Loss
from ...traits import Trait
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..trial import Trial
from .renumbering import undeclared_axes

GROUP: Group = "Symmetry"


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
        trial.same_states(loss, expected)


@law(GROUP, trait=Trait.TRANSLATION_INVARIANT, reads="embeddings", off_kinks=1e-6, unless=undeclared_axes)
def translation(trial: Trial) -> None:
    """Moving embeddings and state together by one vector changes nothing (trait translation-invariant).

    Remedy: use differences of embeddings only, and start a state from data; or do not declare the trait.
    """
    offset = torch.linspace(-0.5, 2.5, trial.case.embedding_dim, dtype=trial.dtype)
    _moves_nothing(trial, lambda rows: rows + offset, lambda gradient: gradient)


@law(GROUP, trait=Trait.ROTATION_INVARIANT, reads="embeddings", off_kinks=1e-6, unless=undeclared_axes)
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
        trial.same_states(loss, expected_loss)


@law(GROUP, trait=Trait.TRANSLATION_INVARIANT, reads="embeddings", off_kinks=1e-3, unless=undeclared_axes)
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
