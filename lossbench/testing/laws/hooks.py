"""Life: the parts of a loss beside forward that a run uses: parameters, their groups, and scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...loss import Loss
from ...traits import Need, Trait
from ...types import ModelOutput
from ..cases import fixed_case
from ..configuration import Configuration
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Life"
_QUARTER_OF_LOG_4 = 0.35


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
    other rows, and once the loss has been followed down, the largest score of a row is that of its class. With the
    default hyper-parameters, scores of rows that all look alike do not prefer rare classes where the logits do not.

    Remedy: give scores in the order of the classes, the larger the likelier; a prior is added where it was subtracted,
    and taken off in training or in `scores`, not in both. Normalize over classes, not over the batch.
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
        _prior_is_taken_off_once(trial)


def _prior_is_taken_off_once(trial: Trial) -> None:
    """Require of own scores of a loss that reads class counts that they do not turn the prior over.

    Judged at the logits that cost least if all rows have the same ones and the labels are as frequent as the counts.
    """
    configuration = trial.configuration
    own = type(trial.loss).scores is not Loss.scores and configuration.reads == ("logits",)
    if not own or configuration.hyperparameters or not configuration.counts_matter:
        return
    counts = (64, 16, 4, 1)
    labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    task = Trial(configuration, replace(fixed_case(classes=len(counts)), class_counts=counts))
    logits = torch.zeros(len(counts), dtype=trial.dtype, requires_grad=True)
    rows = torch.zeros(len(labels), task.case.embedding_dim, dtype=trial.dtype)
    loss, search = task.build(), torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        search.zero_grad()
        value: Tensor = loss(ModelOutput(rows, logits.expand(len(labels), -1)), labels)
        value.backward()
        return value

    search.step(cost)
    best = logits.detach()
    scores = loss.scores(ModelOutput(rows[:1], best[None]))[0]
    frequent_first = [float(each.diff().max()) < _QUARTER_OF_LOG_4 for each in (best, scores)]
    if frequent_first == [True, False] and bool(best.isfinite().all()):
        shown = [", ".join(f"{value:.3g}" for value in each.tolist()) for each in (best, scores)]
        raise Violation(
            f"for rows that all look alike, of classes with 64, 16, 4 and 1 images, the best logits are {shown[0]}, "
            f"and their scores {shown[1]} prefer the rare classes"
        )


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
