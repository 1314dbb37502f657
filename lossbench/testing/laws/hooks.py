"""Life: the parts of a loss beside forward that a run uses: parameters, their groups, and scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...loss import Loss
from ...traits import Need, Trait
from ..configuration import Configuration
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Life"


@law(GROUP, searched=False)
def param_groups_hold_every_parameter(trial: Trial) -> None:
    """`param_groups` gives each trainable parameter of the loss in exactly one group, and nothing else; factors of
    learning rate and weight decay are finite and not negative.

    Remedy: return every parameter of the loss once; do not cache the list in `__init__`.
    """
    loss = trial.build(torch.float32)
    groups = loss.param_groups()
    given = [parameter for group in groups for parameter in _parameters_of(group)]
    own = {id(parameter): name for name, parameter in loss.named_parameters()}
    strangers = sum(id(parameter) not in own for parameter in given)
    counts = {id(parameter): 0 for parameter in given}
    for parameter in given:
        counts[id(parameter)] += 1
    several = [own[key] for key, count in counts.items() if count > 1 and key in own]
    missing = [name for name, p in loss.named_parameters() if p.requires_grad and id(p) not in counts]
    for what, names in (("in no group", missing), ("in several groups", several)):
        if names:
            raise Violation(f"{', '.join(names)}: {what} of param_groups")
    if strangers:
        raise Violation(f"param_groups gives {strangers} tensors that are not parameters of the loss")
    for group in groups:
        for key in ("lr_scale", "weight_decay"):
            number = group.get(key, 0.0)
            if not 0 <= float(number) < float("inf"):
                raise Violation(f"param_groups gives {key} = {number}, expected a finite number of at least 0")


def _parameters_of(group: Any) -> list[nn.Parameter]:
    if not isinstance(group, dict) or "params" not in group:
        raise Violation(f"param_groups gives {type(group).__name__}, expected dicts with `params`", silent=False)
    return list(group["params"])


def _has_no_scores(configuration: Configuration) -> str | None:
    """Return why scores are not judged: auxiliary losses and losses of other libraries inherit them."""
    if configuration.spec.auxiliary:
        return "an auxiliary loss gives no scores"
    return None if "logits" in configuration.reads else "it reads no logits"


@law(GROUP, searched=False, unless=_has_no_scores)
def scores_point_where_the_loss_pulls(trial: Trial) -> None:
    """`scores` gives finite numbers of shape (B, C) that move with the rows and with the classes and do not depend on
    other rows, and once the loss has been followed down, the largest score of a row is that of its class.

    Remedy: give scores in the order of the classes, the larger the likelier; a prior is added where it was subtracted.
    Normalize over classes, not over the batch.
    """
    loss, output, targets = trial.build(), trial.output(), trial.targets
    scores = loss.scores(output)
    if not isinstance(scores, Tensor) or scores.shape != output.logits.shape:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise Violation(f"scores gives {found}, expected a tensor of shape {tuple(output.logits.shape)}")
    trial.finite("scores", scores)
    order = torch.arange(len(targets)).flip(0)
    turned = loss.scores(trial.changed(output, lambda t: t[order], "logits", "embeddings"))
    trial.same("scores of the rows in reverse", turned, scores[order])
    alone = loss.scores(trial.changed(output, lambda t: t[:1], "logits", "embeddings"))
    trial.same("scores of a row alone against its scores in the batch", alone, scores[:1])
    if not trial.configuration.declares(Trait.STOP_GRADIENT):
        _follow_down(trial, loss)


def _follow_down(trial: Trial, loss: Loss) -> None:
    output, targets = trial.output(), trial.targets
    limit = 0.99 if Need.COSINE_LOGITS in trial.configuration.spec.needs else float("inf")
    for _ in range(200):
        _, slopes = trial.gradients(loss, output, targets)
        steps = {name: 2 * slope / max(float(slope.norm()), 0.05) for name, slope in slopes.items()}
        output = output._replace(
            **{name: (getattr(output, name) - 0.25 * step).clamp(-limit, limit) for name, step in steps.items()}
        )
    found = loss.scores(output).argmax(dim=1)
    before = loss.scores(trial.output()).argmax(dim=1)
    right, at_first = (float((each == targets).double().mean()) for each in (found, before))
    by_logits = float((output.logits.argmax(dim=1) == targets).double().mean())
    if right < at_first or right < by_logits:
        raise Violation(
            f"after following the loss down, the largest score is that of the class for {right:.0%} of the rows "
            f"({at_first:.0%} before, {by_logits:.0%} by the logits)"
        )


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
