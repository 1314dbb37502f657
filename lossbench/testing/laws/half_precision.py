"""Systems: inputs in bfloat16 and float16 give the value of float32."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...errors import brief
from ...traits import Need
from ..configuration import is_stateful
from ..law import Group, judge_parts, law
from ..trial import Trial, dtype_name
from ..violation import Violation

GROUP: Group = "Systems"


_TOLERANCES = {torch.bfloat16: 2e-2, torch.float16: 4e-3}


@law(GROUP, compares=True, kind="precision")
def half_precision(trial: Trial) -> None:
    """For bfloat16 and float16 inputs, with and without a zero row and under autocast, the value is in float32 and
    agrees with that of the rounded inputs within 2e-2 and 4e-3; also for logits that are confident and right, whose
    value is small. So does a state that moves by a rule.

    Remedy: compute in float32 what is given in half precision: 1e-12 is 0 in float16, and a log saturates. Leave
    float64 as it is, or the laws that compare in float64 see rounding.
    """
    settings = [(zeroed, autocast, False) for zeroed in (False, True) for autocast in (True, False)]
    if Need.LOGITS in trial.configuration.spec.needs:
        settings.append((False, False, True))
    parts = [partial(_halved, trial, dtype, *setting) for dtype in _TOLERANCES for setting in settings]
    if is_stateful(trial.loss):
        parts += [partial(_near_state, trial, dtype, tolerance) for dtype, tolerance in _TOLERANCES.items()]
    judge_parts(parts)


def _halved(trial: Trial, dtype: torch.dtype, zeroed: bool, autocast: bool, right: bool) -> None:
    def zero_first(tensor: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(tensor[:1]), tensor[1:]])

    half, targets = trial.output(dtype), trial.targets
    if right:
        half, targets = half._replace(logits=4 * half.logits), half.logits.argmax(dim=1)
    if not zeroed and any(bool((getattr(half, name) == 0).all(dim=1).any()) for name in trial.reads):
        return  # a zero row is the matter of the other half of the parts
    half = trial.changed(half, zero_first) if zeroed else half
    expected = trial.build(torch.float32)(trial.changed(half, Tensor.float), targets).detach()
    what = f"{dtype_name(dtype)}{' with a zero row' if zeroed else ''}{', under autocast' if autocast else ''}"
    what += ", right" if right else ""
    with torch.autocast("cpu", dtype, enabled=autocast):
        value = trial.build(torch.float32)(half, targets)
    _near(what, value, expected, _TOLERANCES[dtype])
    if value.dtype is not torch.float32:
        raise Violation(
            f"the value for {what} is in {value.dtype}, expected torch.float32", silent=False, kind="precision"
        )


def _near_state(trial: Trial, dtype: torch.dtype, tolerance: float) -> None:
    half = trial.output(dtype)
    trial.build(torch.float32)(half, trial.targets)  # a loss that refuses these inputs need not step on them
    loss, expected = trial.build(torch.float32), trial.build(torch.float32)
    expected.update_state(trial.changed(half, Tensor.float), trial.targets)
    try:
        loss.update_state(half, trial.targets)
    except Exception as error:
        raise Violation(
            f"forward takes {dtype_name(dtype)}, but update_state refuses it with {brief(error)}",
            silent=False,
        ) from error
    held = trial.states(expected)
    for name, tensor in trial.states(loss).items():
        if tensor.dtype is not held[name].dtype:
            raise Violation(
                f"a step with {dtype_name(dtype)} turns {name} into {tensor.dtype}, expected {held[name].dtype}"
            )
        if tensor.is_floating_point():
            trial.same_state(f"{name} after a step with {dtype_name(dtype)}", tensor, held[name], tolerance)


def _near(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    if not bool(expected.isfinite().all()):
        return  # that float32 is not finite is the matter of the laws of finiteness
    if not abs(float(found) - float(expected)) <= tolerance * max(abs(float(expected)), 1e-2):
        raise Violation(f"{what}: {float(found):.6g} against {float(expected):.6g} in float32")
