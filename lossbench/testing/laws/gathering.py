"""Meaning: what a loss on embeddings does to the classes. Judged in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...loss import Loss
from ...types import ModelOutput
from ..configuration import LAST_EPOCH, Configuration, is_scheduled
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Meaning"
_STEPS = 60
_WORSE, _BETTER = 1.15, 0.95


def _reads_logits(configuration: Configuration) -> str | None:
    return "its rows are followed by their scores" if "logits" in configuration.reads else None


@law(GROUP, searched=False, reads="embeddings", unless=_reads_logits)
def rows_gather_by_class(trial: Trial) -> None:
    """It is not the other way round: rows of embeddings that follow the loss up gather by class, and rows that follow
    it down come to lie farther from the rows of their class, compared with the rows of the other classes, than before
    and than if they follow it down with other labels.

    Both the Euclidean distance and the angle must say so, by 15 % down and 5 % up: a loss that does not read the
    labels, or that has no gradient here, obeys.

    Remedy: look at the sign of a distance or a similarity, and at positives and negatives that are exchanged.
    """
    loss, targets = trial.build(), trial.targets
    if is_scheduled(loss) and not trial.configuration.late:
        loss.begin_epoch(*LAST_EPOCH)
    others = targets.sort().values  # other rows share a class
    rows = trial.output().embeddings
    down, elsewhere, up = (
        _followed(trial, loss, labels, step) for labels, step in ((targets, -0.1), (others, -0.1), (targets, 0.1))
    )
    told = []
    for distances in (_distances, _angles):
        start, own, other, best = (_spread(distances(each), targets) for each in (rows, down, elsewhere, up))
        if not (own > _WORSE * max(start, other) and best < _BETTER * start):
            return
        told.append(f"{own:.3g} times ({start:.3g} before, {best:.3g} after following it up)")
    raise Violation(
        "after following the loss down, rows of a class lie as far apart as rows of different classes "
        f"{told[0]}; by angles {told[1]}"
    )


def _followed(trial: Trial, loss: Loss, labels: Tensor, length: float) -> Tensor:
    """Return the embeddings after steps of one length along the gradient."""
    output = trial.output()
    for _ in range(_STEPS):
        _, slopes = trial.gradients(loss, output, labels)
        slope = slopes["embeddings"]
        step = length * slope / slope.norm(dim=1, keepdim=True).max().clamp(min=1e-12)
        output = output._replace(embeddings=output.embeddings + step)
    return output.embeddings


def _distances(rows: Tensor) -> Tensor:
    return (rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(dim=2).sqrt()


def _angles(rows: Tensor) -> Tensor:
    unit = F.normalize(rows, dim=1)
    return 1 - unit @ unit.T


def _spread(distances: Tensor, labels: Tensor) -> float:
    """Return the mean distance within the classes, in units of that between them."""
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    pairs = ~torch.eye(len(labels), dtype=torch.bool)
    within, between = distances[same & pairs].mean(), distances[~same].mean()
    return float((within + 1e-3) / (between + 1e-3))  # 1 if all rows come to lie on one point


def class_points(configuration: Configuration) -> list[str]:
    """Return the states that are one point in the space of embeddings for each class, by `state_axes`."""
    return [name for name, axes in configuration.state_axes.items() if axes == ("class", "embedding")]


def _no_points(configuration: Configuration) -> str | None:
    if configuration.reads != ("embeddings",):
        return "it does not read embeddings alone"
    return None if class_points(configuration) else "it has no state by class and embedding"


@law(GROUP, searched=False, unless=_no_points)
def own_point_costs_least(trial: Trial) -> None:
    """Rows that lie on the centers or proxies of their own classes cost less than rows that lie on those of other
    classes. If several states are declared by class and embedding, such as means and variances, one must say so.

    Remedy: look at the sign of a distance or a similarity to the points, and at the index of the class.
    """
    loss, classes = trial.build(), len(trial.case.class_counts)
    labels, told = torch.arange(classes), []
    for name in class_points(trial.configuration):
        points = trial.states(loss)[name].detach().to(trial.dtype)
        if not bool(points.isfinite().all()) or bool((points == points[:1]).all()):
            return
        logits = torch.zeros(classes, classes, dtype=trial.dtype)
        own, *others = (
            float(loss(ModelOutput(points.roll(shift, 0), logits), labels).detach()) for shift in range(classes)
        )
        if not own > max(others) + 1e-6 * abs(own):
            return
        told.append(f"rows on the {name} of their own classes cost {own:.6g}, on those of others at most")
        told[-1] += f" {max(others):.6g}"
    raise Violation("; ".join(told))
