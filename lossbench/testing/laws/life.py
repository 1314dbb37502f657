"""Life: what a loss is asked for beside one call of forward, from its construction to its last epoch."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...errors import brief
from ...loss import Loss
from ..cases import fixed_case
from ..configuration import Configuration, is_stateful
from ..law import Group, judge_parts, law
from ..trial import HALF_PRECISIONS, Trial, dtype_name
from ..violation import NotApplicableError, Violation

GROUP: Group = "Life"
_MANY_CALLS = 200
_EPOCHS = ((0, 1), (0, 2), (1, 2), (0, 7), (3, 7), (6, 7))


def _call(loss: Loss, trial: Trial) -> Tensor:
    value: Tensor = loss(trial.output(), trial.targets)
    return value.detach()


def _other_batch(trial: Trial) -> Trial:
    """Return a trial of the same task on a batch with other rows, three times as far out."""
    case = trial.case
    other = fixed_case(size=7, classes=len(case.class_counts), dim=case.embedding_dim, seed=5)
    larger = tuple(tuple(3 * value for value in row) for row in other.logits)
    farther = tuple(tuple(3 * value for value in row) for row in other.embeddings)
    return Trial(trial.configuration, replace(other, class_counts=case.class_counts, logits=larger, embeddings=farther))


@law(GROUP, searched=False)
def fresh_instances(trial: Trial) -> None:
    """A value does not depend on the earlier life of an instance: a fresh instance, one that saw another batch first,
    also in the same memory, one beside an instance for another task, and one that was called 200 times agree. Nor does
    a step of the state depend on what forward was called with.

    Remedy: keep nothing of a batch in forward, by address or by size either; take scales and statistics from the batch
    at hand, or from buffers that `update_state` moves by its own arguments.
    """
    expected = _call(trial.build(), trial)
    after_other, after_many = trial.build(), trial.build()
    _call(after_other, _other_batch(trial))
    for _ in range(_MANY_CALLS):
        _call(after_many, trial)
    stranger = Trial(trial.configuration, replace(trial.case, class_counts=trial.case.class_counts[::-1]))
    beside = trial.build()
    _call(stranger.build(), stranger)
    for what, loss in (
        ("after another batch", after_other),
        (f"after {_MANY_CALLS} calls", after_many),
        ("beside an instance for other class counts", beside),
    ):
        trial.same(f"{what} against a fresh instance", _call(loss, trial), expected, tolerance=1e-12)
    _same_in_place(trial)
    if is_stateful(after_other):
        stepped, expected_step = trial.build(), trial.build()
        stepped(trial.changed(trial.output(), lambda t: 1 - 2 * t), trial.targets.sort().values)
        for loss in (stepped, expected_step):
            loss.update_state(trial.output(), trial.targets)
        trial.same_states(stepped, expected_step, "after forward of another batch and a step", tolerance=1e-12)


def _same_in_place(trial: Trial) -> None:
    """Require that other numbers in the same tensors give the value of a fresh instance."""
    loss, output, targets = trial.build(), trial.output(), trial.targets
    loss(output, targets)
    targets.copy_(targets.sort().values)
    for name in trial.reads:
        getattr(output, name).mul_(-0.5)
    expected = trial.build()(trial.changed(output, Tensor.clone, "logits", "embeddings"), targets.clone()).detach()
    trial.same("after another batch in the same memory", loss(output, targets).detach(), expected, tolerance=1e-12)


@law(GROUP, searched=False)
def modes(trial: Trial) -> None:
    """train() and eval() give the same value and gradient.

    Remedy: do not branch on `self.training`; what a run does only in training belongs into `update_state`.
    """
    training, evaluating = trial.build().train(), trial.build().eval()
    value, gradients = trial.gradients(training, trial.output(), trial.targets)
    frozen, its_gradients = trial.gradients(evaluating, trial.output(), trial.targets)
    trial.same("eval() against train()", frozen, value)
    trial.same_gradients("eval() against train()", its_gradients, gradients)


@law(GROUP, searched=False)
def epochs(trial: Trial) -> None:
    """After `begin_epoch(epoch, total)` value and gradient are finite and depend on epoch and total alone: not on the
    order or number of the calls before. A state_dict and `begin_epoch` restore a loss in the middle of its schedule.

    Remedy: compute the schedule from `epoch` and `total` only, also for one epoch in total, and keep no counter.
    """
    for epoch, total in _EPOCHS:
        jumped, walked, repeated = trial.build(), trial.build(), trial.build()
        for each in range(epoch + 1):
            walked.begin_epoch(each, total)
        for other, length in ((0, total + 4), (total - 1, total), (epoch, total), (epoch, total)):
            repeated.begin_epoch(other, length)
        jumped.begin_epoch(epoch, total)
        value, gradients = trial.gradients(jumped, trial.output(), trial.targets)
        where = f"in epoch {epoch} of {total}"
        trial.finite(f"the value {where}", value)
        for name, gradient in gradients.items():
            trial.finite(f"the gradient in {name} {where}", gradient)
        trial.same(f"{where}, after all epochs before it against at once", _call(walked, trial), value)
        trial.same(f"{where}, after epochs of other schedules against at once", _call(repeated, trial), value)
        if is_stateful(jumped):
            jumped.update_state(trial.output(), trial.targets)
        restored = trial.build()
        restored.load_state_dict(copy.deepcopy(jumped.state_dict()), strict=True)
        restored.begin_epoch(epoch, total)
        trial.same(f"{where}, restored against saved", _call(restored, trial), _call(jumped, trial))


@law(GROUP, searched=False, compares=True)
def cast_to_half_precision(trial: Trial) -> None:
    """A loss that is cast to bfloat16 or float16 as a whole still takes a batch, gives a value near that of float32 and
    a finite gradient, and takes a step of its state.

    Remedy: compute in float32 what parameters and buffers hold in half precision: `self.weight.float()`.
    """
    judge_parts(partial(_cast, trial, dtype) for dtype in HALF_PRECISIONS)


def _cast(trial: Trial, dtype: torch.dtype) -> None:
    short = dtype_name(dtype)
    tolerance = 5e-2 if dtype is torch.bfloat16 else 1e-2
    rounded = trial.build(torch.float32).to(dtype).float()  # what is lost by rounding the state is not the loss's doing
    output = trial.changed(trial.output(dtype), Tensor.float)
    expected, gradients = trial.gradients(rounded, output, trial.targets)
    loss = trial.build(torch.float32).to(dtype)
    for what, given in (("half-precision", trial.output(dtype)), ("float32", output)):
        value, slopes = trial.gradients(loss, given, trial.targets)
        value = value.float()
        largest = max([float(expected.abs()), *(float(g.abs().max()) for g in gradients.values())])
        finite = all(bool(found.isfinite().all()) for found in (value, *slopes.values()))
        if largest > torch.finfo(dtype).max and not finite:
            trial.excuse(f"its values reach {largest:.3g}, beyond the range of {short}")
            return
        if not abs(float(value) - float(expected)) <= tolerance * max(abs(float(expected)), 1e-2):
            raise Violation(
                f"cast to {short}, with {what} inputs: {float(value):.6g} against {float(expected):.6g}",
                kind="precision",
            )
        for name, slope in slopes.items():
            if bool(gradients[name].isfinite().all()) and not bool(slope.isfinite().all()):
                raise Violation(f"cast to {short}, with {what} inputs: the gradient in {name} is not finite")
    if is_stateful(loss):
        loss.update_state(trial.output(dtype), trial.targets)
        trial.finite(f"the value after a step, cast to {short}", loss(trial.output(dtype), trial.targets))


def _is_late(configuration: Configuration) -> str | None:
    return "judged before the first epoch" if configuration.late else None


@law(GROUP, searched=False, unless=_is_late)
def built_on_meta(trial: Trial) -> None:
    """A loss that is built on the meta device, emptied onto the CPU and loaded from a state_dict gives the value of the
    loss that was saved.

    Remedy: keep what the value needs in the state_dict, or compute it in forward; give buffers that are not saved a
    `reset_parameters()` that computes them again.
    """
    saved = trial.build(torch.float32)
    output, targets = trial.output(torch.float32), trial.targets
    expected = saved(output, targets).detach()
    try:
        with torch.device("meta"):
            loss = trial.configuration.raw(trial.case.context)
    except Exception as error:
        reason = f"its constructor reads values, which the meta device does not have: {brief(error)}"
        raise NotApplicableError(reason) from error
    loss = loss.to_empty(device="cpu")
    for module in loss.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    loss.load_state_dict(saved.state_dict(), strict=True)
    lost = [name for name, _ in loss.named_buffers() if name not in loss.state_dict()]
    left = [name for name, tensor in loss.named_buffers() if tensor.is_meta]
    value = loss(output, targets).detach()
    if value.isfinite().all() and torch.isclose(value, expected, rtol=1e-5):
        return
    if lost and not left:
        raise NotApplicableError(f"{', '.join(lost)} is not saved, so `to_empty` cannot bring it back")
    raise Violation(f"built on the meta device and loaded: {float(value):.6g} against {float(expected):.6g}")
