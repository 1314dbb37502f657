"""Meaning: what class counts, weights and absent classes mean. Judged in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ...loss import Loss
from ...traits import Need, Trait
from ...types import ModelOutput
from ..configuration import Configuration, is_stateful
from ..explicit_weights import takes_weights, weighted
from ..law import Group, law
from ..trial import Trial
from ..violation import NotApplicableError

GROUP: Group = "Meaning"


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
    if not reads and configuration.declares(Trait.WEIGHTED_LIKELIHOOD):
        return "the hyper-parameters may scale it" if configuration.hyperparameters else None
    return None if reads else "it does not read class counts"


@law(GROUP, off_kinks=1e-6, unless=_reads_no_counts)
def equal_counts_are_no_counts(trial: Trial) -> None:
    """With equally many training images of every class their number does not matter, and a weighted likelihood is
    plain softmax cross-entropy. So is one that does not read class counts, with the default hyper-parameters.

    Remedy: use proportions of the counts; scale class weights to a mean of 1; divide by rows, not by classes.
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
    if not takes_weights(configuration):
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
    if _others_have_a_part(trial, weight):
        raise NotApplicableError("the weights of other classes have a part in the cost of a row")
    weight[0] = 0
    targets = torch.cat([trial.targets, torch.tensor([classes - 1])])  # some weight is left to divide by
    output = trial.output()
    output = ModelOutput(
        torch.cat([output.embeddings, output.embeddings[:1]]), torch.cat([output.logits, output.logits[:1]])
    )
    _, gradients = trial.gradients(trial.build(**weighted(trial.configuration, weight)), output, targets)
    for name, gradient in gradients.items():
        none = gradient[targets == 0]
        trial.same(f"gradient in {name} of rows without weight", none, torch.zeros_like(none), scale=1.0)


def _others_have_a_part(trial: Trial, weights: Tensor) -> bool:
    """Return whether a row costs another amount if only the weights of the other classes are doubled."""
    case = trial.case.first_rows(1)
    costs = []
    for factor in (1.0, 2.0):
        others = (factor * weights).index_fill(0, case.labels(), 1.0)
        loss = trial.build(case=case, **weighted(trial.configuration, others))
        costs.append(loss(trial.output(case=case), case.labels()).detach())
    return not torch.isclose(costs[0], costs[1], rtol=1e-6)


def _no_state_by_class(configuration: Configuration) -> str | None:
    by_class = any("class" in axes for axes in configuration.state_axes.values())
    return None if by_class else "it has no state by class"


@law(GROUP, trait=Trait.ABSENT_CLASS_STATE_FIXED, unless=_no_state_by_class)
def state_of_absent_class(trial: Trial) -> None:
    """The state of a class that is not in the batch has no influence: its gradient is 0, and a step does not move it;
    a step moves the state of a class by the rows of that class alone (trait absent-class-state-fixed).

    Remedy: index the state by the labels of the batch, and divide by the rows of a class, not by those of the batch;
    or do not declare the trait.
    """
    axes = {n: a.index("class") for n, a in trial.configuration.state_axes.items() if "class" in a}
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
    if is_stateful(loss):
        _moves_by_own_rows(trial, loss, axes, targets)


def _moves_by_own_rows(trial: Trial, moved: Loss, axes: Mapping[str, int], targets: Tensor) -> None:
    """Require that a step with further rows, of the last class, moves the states of the other classes as `moved`."""
    more, last = trial.build(), len(trial.case.class_counts) - 1
    output = trial.changed(trial.output(), lambda t: torch.cat([t, 1 - t[:2]]), "logits", "embeddings")
    more.update_state(output, torch.cat([targets, torch.full_like(targets[:2], last)]))
    for name, axis in axes.items():
        found, expected = (trial.states(each)[name].narrow(axis, 0, last) for each in (more, moved))
        trial.same_state(f"{name} after a step with rows of another class, too", found, expected, tolerance=1e-8)
