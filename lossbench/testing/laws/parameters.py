"""Life: parameters that a loss learns have an effect, and do not switch it off."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..configuration import LAST_EPOCH, Configuration, is_scheduled
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation
from .sizes import scaled_case

GROUP: Group = "Life"


def _no_parameters(configuration: Configuration) -> str | None:
    learned = any(parameter.requires_grad for parameter in configuration.specimen.parameters())
    return None if learned else "it has no parameters"


@law(GROUP, searched=False, unless=_no_parameters)
def parameters_do_not_switch_off(trial: Trial) -> None:
    """Gradient descent on the parameters of the loss alone does not drive the loss to 0 for wrong labels as well as for
    right ones: it would stop teaching the model.

    Remedy: normalize learned weights, or add what makes small ones expensive, such as a log.
    """
    loss, output, targets = trial.build(), trial.output(), trial.targets
    wrong = (targets + 1) % len(trial.case.class_counts)
    before = float(loss(output, wrong).detach())
    parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    for _ in range(300):
        value = loss(output, targets)
        slopes = torch.autograd.grad(value, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                if (
                    slope is not None
                ):  # steps of one length, as of Adam: a factor that falls has smaller and smaller slopes
                    parameter.sub_(0.1 * slope.sign())
    after, right = float(loss(output, wrong).detach()), float(loss(output, targets).detach())
    falls_below = loss.lower_bound is not None and max(after, right) < 0 < before
    if (before > 1e-6 and max(abs(after), abs(right)) < 1e-2 * before) or falls_below:
        raise Violation(
            f"after 300 steps of the parameters alone, right labels cost {right:.4g} and wrong ones {after:.4g} "
            f"({before:.4g} before)"
        )


@law(GROUP, searched=False, unless=_no_parameters)
def every_parameter_has_a_gradient(trial: Trial) -> None:
    """Each trainable parameter of the loss has a gradient: on an ordinary batch or one with values 8 times as large, at
    first, after steps or in the last epoch.

    Remedy: use the parameter, or remove it; look for `.detach()`, `.data` and `no_grad` on its way to the value.
    """
    idle: set[str] | None = None
    for case in (trial.case, replace(scaled_case(8), class_counts=trial.case.class_counts)):
        each = Trial(trial.configuration, case)
        loss = each.build()
        for stage in ("at first", "after a step", "in the last epoch"):
            found = _without_gradient(each, loss)
            idle = found if idle is None else idle & found
            if stage == "at first":
                loss.update_state(each.output(), each.targets)
            elif is_scheduled(loss):
                loss.begin_epoch(*LAST_EPOCH)
    if idle:
        raise Violation(f"{', '.join(sorted(idle))} has no gradient on any batch: the value does not depend on it")


def _without_gradient(trial: Trial, loss: torch.nn.Module) -> set[str]:
    """Return the names of the trainable parameters whose gradient is 0."""
    learned = {name: p for name, p in loss.named_parameters() if p.requires_grad}
    value: Tensor = loss(trial.output(), trial.targets)
    if not value.requires_grad:
        return set(learned)
    slopes = torch.autograd.grad(value, list(learned.values()), allow_unused=True)
    return {name for name, slope in zip(learned, slopes, strict=True) if slope is None or not bool(slope.any())}
