"""Meaning: how the value depends on the logits of a row, and between which bounds it lies. Judged in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from ...traits import Need, Trait
from ...types import ModelOutput
from ..cases import Case
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Meaning"


@law(GROUP, trait=Trait.MONOTONE, reads="logits")
def larger_true_logit(trial: Trial) -> None:
    """A larger logit of the true class never costs more (trait monotone).

    Remedy: look at the sign, and at terms that punish confidence; or do not declare the trait.
    """
    targets = trial.targets
    for factor in (1, 5):  # also where the loss is sure of itself
        output = trial.changed(trial.output(), lambda t, a=factor: a * t, "logits")  # type: ignore[misc]
        value, gradients = trial.gradients(trial.loss, output, targets)
        slopes = gradients["logits"].gather(1, targets.unsqueeze(1))
        if float(slopes.max()) > 1e-12:
            found = f"{float(slopes.max()):.6g} at logits times {factor}"
            raise Violation(f"the derivative in a true logit is {found}, expected at most 0")
        higher = output._replace(logits=output.logits + F.one_hot(targets, output.logits.shape[1]))
        cost = trial.loss(higher, targets)
        if float(cost - value) > 1e-12 * max(1.0, float(value)):
            raise Violation(
                f"true logits plus 1 cost {float(cost):.10g} against {float(value):.10g} at logits times {factor}"
            )


@law(GROUP, trait=Trait.CONVEX, reads="logits")
def convex_in_logits(trial: Trial) -> None:
    """Between two batches of logits the value lies below the straight line (trait convex).

    Remedy: do not declare the trait; focal and bounded losses are not convex.
    """
    output, targets = trial.output(), trial.targets
    logits, true = output.logits, F.one_hot(targets, output.logits.shape[1])
    # Far apart, and near each other where the label is very wrong: there a bounded or focal loss bends down.
    for one, other in ((logits, 3 - 2 * logits.roll(1, dims=1)), (4 * logits, 4 * logits + true)):
        costs = [trial.loss(output._replace(logits=end), targets) for end in (one, other)]
        middle = trial.loss(output._replace(logits=(one + other) / 2), targets)
        chord = (costs[0] + costs[1]) / 2
        if float(middle - chord) > 1e-12 * max(1.0, float(chord.abs())):
            raise Violation(
                f"half-way between {one.tolist()} and {other.tolist()} it is {float(middle):.10g}, the mean of the "
                f"ends {float(chord):.10g}"
            )


@law(GROUP, trait=Trait.WEIGHTED_LIKELIHOOD, reads="logits")
def bounded_pull(trial: Trial) -> None:
    """One row pulls at its logits with an L1 norm of at most twice its weight, the weight being its value at equal
    logits over log C (trait weighted-likelihood).

    Remedy: do not multiply the loss of a row by what grows with its logits.
    """
    case = trial.case.first_rows(1)
    loss, output = trial.build(case=case), trial.output(case=case)
    flat = loss(output._replace(logits=torch.zeros_like(output.logits)), case.labels())
    bound = 2 * float(flat) / math.log(output.logits.shape[1])
    for factor in (1, 10):
        larger = output._replace(logits=factor * output.logits)
        _, gradients = trial.gradients(loss, larger, case.labels())
        pull = float(gradients["logits"].abs().sum())
        if pull > bound * (1 + 1e-6):
            raise Violation(
                f"the gradient at logits times {factor} has an L1 norm of {pull:.6g}, expected at most {bound:.6g}"
            )


def _no_lower_bound(configuration: Configuration) -> str | None:
    return "it declares no lower bound" if configuration.specimen.lower_bound is None else None


@law(GROUP, compares=False, unless=_no_lower_bound)
def not_negative(trial: Trial) -> None:
    """The value is never negative, or never below the bound that the loss declares (`Loss.lower_bound`).

    Remedy: look for a sign, or for a constant that was left out; a loss that is negative by definition declares its
    lower bound, or None.
    """
    bound = trial.loss.lower_bound
    assert bound is not None
    value = trial.loss(trial.output(), trial.targets)
    if float(value.detach()) < bound - max(1e-12, trial.rounding) * max(1.0, abs(bound)):
        raise Violation(f"the value is {float(value):.10g}" + (f", below the bound of {bound:g}" if bound else ""))


@law(GROUP, unless=lambda c: None if c.specimen.upper_bound is not None else "it declares no upper bound")
def upper_bound(trial: Trial) -> None:
    """The value never exceeds the bound that the loss declares (`Loss.upper_bound`): margin plus the diameter of the
    sphere for a hinge on normalised embeddings.

    Remedy: look for a missing normalisation, a sum for a mean, or correct `upper_bound`.
    """
    bound = trial.loss.upper_bound
    assert bound is not None
    value = float(trial.loss(trial.output(), trial.targets))
    if value > bound * (1 + 1e-12):
        raise Violation(f"the value is {value:.10g}, above the bound of {bound:g}")


def _is_cosine(configuration: Configuration) -> str | None:
    if Need.COSINE_LOGITS in configuration.spec.needs and not configuration.declares(Trait.ZERO_AT_SEPARATION):
        return "cosines end at 1: how little separation costs depends on their scale"
    return None


@law(GROUP, trait=Trait.ZERO_AT_SEPARATION, searched=False, unless=_is_cosine)
def zero_at_separation(trial: Trial) -> None:
    """Perfect separation costs nothing (trait zero-at-separation): each true logit at 600 and the others at 0 or -600,
    each embedding at its class's own point, the points orthogonal and far apart, a moving state come to rest there.

    Remedy: look for a constant that stays; or do not declare the trait.
    """
    case = _square(trial.case)
    targets = case.labels()
    corners = torch.eye(len(case.class_counts), dtype=trial.dtype)[targets]
    cosines = Need.COSINE_LOGITS in trial.configuration.spec.needs
    values = []
    for others in (0, -1):  # one-vs-rest losses ask for very negative logits of the other classes
        logits = corners if cosines else 600 * (corners + others * (1 - corners))
        output = ModelOutput(20 * corners, logits)
        loss = trial.build(case=case)
        if is_stateful(loss):
            for _ in range(500):
                loss.update_state(output, targets)
        values.append(float(loss(output, targets).detach()))
        if 0 <= values[-1] < max(1e-12, trial.rounding):
            return
    raise Violation(f"the value at perfect separation is {min(values, key=abs):.6g}, expected 0")


def _square(case: Case) -> Case:
    """The same batch with as many embedding dimensions as classes."""
    return replace(case, embedding_dim=len(case.class_counts))
