"""Meaning: the value means what the loss says it means. Judged in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...expression import parse_formula
from ...loss import Loss
from ...registry import loss_info
from ...traits import Need, Trait
from ...types import LoopBatch, ModelOutput
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


@law(GROUP, trait=Trait.WEIGHTED_LIKELIHOOD, reads="logits")
def learns_the_weighted_prior(trial: Trial) -> None:
    """Over a set with n_c rows of class c, the best constant logits b have softmax(b)_c = w_c n_c / sum w n, with the
    weights that the gradient at equal logits shows (trait weighted-likelihood).

    Remedy: the weight multiplies the whole loss of a row, not the logits, a part of them, or the mean.
    """
    case = trial.case
    classes = len(case.class_counts)
    counts = [2 + (7 * c + len(case.targets)) % 5 for c in range(classes)]
    labels = torch.tensor([c for c in range(classes) for _ in range(counts[c])])
    loss = trial.loss
    weights = torch.stack([_pull(trial, torch.tensor([0, c])) for c in range(classes)])
    shares = weights * torch.tensor(counts, dtype=trial.dtype)
    best = (shares / shares.sum()).log()
    constant = best.expand(len(labels), classes)
    embeddings = torch.zeros(len(labels), case.embedding_dim, dtype=trial.dtype)
    _, gradients = trial.gradients(loss, ModelOutput(embeddings, constant), labels)
    slope = gradients["logits"].sum(dim=0)
    trial.same("the slope at the predicted optimum", slope, torch.zeros_like(slope), scale=1.0, tolerance=1e-9)


def _pull(trial: Trial, labels: Tensor) -> Tensor:
    """How hard the last row pulls at equal logits, in units of the first row's pull."""
    classes = len(trial.case.class_counts)
    flat = torch.zeros(len(labels), classes, dtype=trial.dtype)
    embeddings = torch.zeros(len(labels), trial.case.embedding_dim, dtype=trial.dtype)
    _, gradients = trial.gradients(trial.loss, ModelOutput(embeddings, flat), labels)
    pulls = gradients["logits"].abs().sum(dim=1)
    return pulls[-1] / pulls[0]


def _reads_no_counts(configuration: Configuration) -> str | None:
    reads = Need.CLASS_COUNTS in configuration.spec.needs or configuration.counts_matter
    return None if reads else "it does not read class counts"


@law(GROUP, off_kinks=1e-6, unless=_reads_no_counts)
def equal_counts_are_no_counts(trial: Trial) -> None:
    """With equally many training images of every class their number does not matter, and a weighted likelihood is
    plain softmax cross-entropy.

    Remedy: use proportions of the counts; scale class weights to a mean of 1.
    """
    classes = len(trial.case.class_counts)
    output, targets = trial.output(), trial.targets
    values = [
        trial.build(case=replace(trial.case, class_counts=(n,) * classes))(output, targets) for n in (1, 40, 1000)
    ]
    trial.same("40 images a class against 1", values[1], values[0])
    trial.same("1000 images a class against 1", values[2], values[0])
    if trial.configuration.declares(Trait.WEIGHTED_LIKELIHOOD):
        trial.same("equal counts against softmax", values[0], F.cross_entropy(output.logits, targets))


def _takes_no_weights(configuration: Configuration) -> str | None:
    if "weight" not in configuration.spec.hyperparameters:
        return "it takes no explicit class weights"
    if configuration.undeclared_is_unknown and not configuration.declares(Trait.WEIGHTED_LIKELIHOOD):
        return "its weights may multiply something else than the loss of a row"
    return None


@law(GROUP, unless=_takes_no_weights)
def weight_zero(trial: Trial) -> None:
    """Rows of a class whose explicit weight is 0 have the gradient 0.

    Remedy: apply the weight to the whole loss of a row.
    """
    classes = len(trial.case.class_counts)
    weight = torch.ones(classes, dtype=trial.dtype)
    weight[0] = 0
    targets = torch.cat([trial.targets, torch.tensor([classes - 1])])  # some weight is left to divide by
    output = trial.output()
    output = ModelOutput(
        torch.cat([output.embeddings, output.embeddings[:1]]), torch.cat([output.logits, output.logits[:1]])
    )
    _, gradients = trial.gradients(trial.build(weight=weight), output, targets)
    for name, gradient in gradients.items():
        none = gradient[targets == 0]
        trial.same(f"gradient in {name} of rows without weight", none, torch.zeros_like(none), scale=1.0)


def _couples_rows(configuration: Configuration) -> str | None:
    coupled = configuration.declares(Trait.BATCH_COUPLED)
    return "it is declared batch-coupled: a repeated row is a new pair" if coupled else None


@law(GROUP, off_kinks=1e-6, unless=_couples_rows)
def repeated_batch(trial: Trial) -> None:
    """Repeating the whole batch three times changes nothing: the loss is a mean, never a sum.

    Losses that couple the rows of a batch see new pairs in the repetition and are left out.

    Remedy: divide by the number of rows.
    """
    output, targets = trial.output(), trial.targets
    repeated = trial.changed(output, lambda t: t.repeat(3, 1), "logits", "embeddings")
    found = trial.loss(repeated, targets.repeat(3))
    trial.same("three times the batch against once", found, trial.loss(output, targets))


def _no_state_by_class(configuration: Configuration) -> str | None:
    by_class = any("class" in axes for axes in configuration.spec.state_axes.values())
    return None if by_class else "it has no state by class"


@law(GROUP, trait=Trait.ABSENT_CLASS_STATE_FIXED, unless=_no_state_by_class)
def state_of_absent_class(trial: Trial) -> None:
    """The state of a class that is not in the batch has no influence: its gradient is 0, and a step does not move it
    (trait absent-class-state-fixed).

    Remedy: index the state by the labels of the batch, or do not declare the trait.
    """
    axes = {n: a.index("class") for n, a in trial.configuration.spec.state_axes.items() if "class" in a}
    last = len(trial.case.class_counts) - 1
    targets = trial.targets.clamp(max=last - 1)
    loss, output = trial.build(), trial.output()
    held = trial.states(loss)
    leaves = {name: held[name].detach().clone().requires_grad_() for name in axes}
    value = torch.func.functional_call(loss, leaves, (output, targets))
    if value.requires_grad:
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        for (name, axis), gradient in zip(axes.items(), found, strict=True):
            if gradient is not None:
                part = gradient.select(axis, last)
                trial.same(f"gradient in {name} of an absent class", part, torch.zeros_like(part), scale=1.0)
    before = {name: held[name].select(axis, last).clone() for name, axis in axes.items()}
    loss.update_state(output, targets)
    for name, axis in axes.items():
        after = trial.states(loss)[name].select(axis, last)
        trial.same_state(f"{name} of an absent class after a step", after, before[name])


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
