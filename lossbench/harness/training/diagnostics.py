"""Compute diagnostics of an objective's terms at the end of an epoch: values, gradient norms, class geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...loss import Loss
from ...types import ModelOutput

INERT, DOMINANT = 0.001, 2.0


def term_diagnostics(head: torch.nn.Module, loss: Loss, output: ModelOutput, targets: Tensor) -> dict[str, Any]:
    """Return each term's value, and the gradient norm of each auxiliary term relative to the primary term.

    Args:
        head: module from embeddings to logits.
        loss: the objective.
        output: output for a batch; its logits are recomputed from its embeddings, so that gradients reach these.
        targets: (B,) targets.

    Returns:
        "terms": values by name; "gradient_ratio": ratios of norms by name; empty for an objective of one term.
    """
    terms = loss.terms()
    if len(terms) == 1:
        return {"terms": {}, "gradient_ratio": {}}
    leaf = output.embeddings.detach().requires_grad_()
    with torch.enable_grad():
        output = output._replace(embeddings=leaf, logits=head(leaf))
        values, norms = [], []
        for term in terms:
            value = term.coefficient * term.loss(output, targets)
            (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True)
            values.append(float(value.detach()))
            norms.append(0.0 if gradient is None else float(gradient.norm()))
    names = unique_names([term.name for term in terms])
    base = norms[loss.primary]
    return {
        "terms": {name: _finite(value) for name, value in zip(names, values, strict=True)},
        "gradient_ratio": {
            name: _finite(norm / base) if base else None
            for i, (name, norm) in enumerate(zip(names, norms, strict=True))
            if i != loss.primary
        },
    }


def epoch_diagnostics(head: torch.nn.Module, loss: Loss, output: ModelOutput, targets: Tensor) -> dict[str, Any]:
    """Return `term_diagnostics` and "scatter_to_radius" for a batch, in the precision of the head."""
    embeddings = output.embeddings.to(next(head.parameters()).dtype)
    return {
        **term_diagnostics(head, loss, output._replace(embeddings=embeddings), targets),
        "scatter_to_radius": scatter_to_radius(embeddings, targets),
    }


def hard(targets: Tensor) -> Tensor:
    """Return (B,) class numbers; of (B, C) probabilities, the most probable class of each row."""
    return targets.argmax(dim=1) if targets.ndim == 2 else targets


def scatter_to_radius(embeddings: Tensor, targets: Tensor) -> float | None:
    """Return the scatter within classes divided by the scatter of the class means (mean squared distances).

    Small values mean compact, well separated classes; above 1, classes overlap. None with fewer than two classes.

    Args:
        embeddings: (B, D) embeddings.
        targets: (B,) targets.

    Example:
        >>> x = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
        >>> scatter_to_radius(x, torch.tensor([0, 0, 1, 1]))
        0.04
    """
    targets = hard(targets)
    classes, position = targets.unique(return_inverse=True)
    if len(classes) < 2:
        return None
    x = embeddings.detach().float()
    count = torch.bincount(position).unsqueeze(1)
    means = torch.zeros(len(classes), x.shape[1], device=x.device).index_add_(0, position, x) / count
    scatter = (x - means[position]).square().sum(dim=1).mean()
    radius = (means - means.mean(dim=0)).square().sum(dim=1).mean()
    return _finite(round(float(scatter / radius), 6))


def warnings_of(ratios: dict[str, float | None], epoch: int, targets: Tensor | None = None) -> list[str]:
    """Return warnings about an epoch's gradient ratios; the first epoch is exempt.

    Args:
        ratios: "gradient_ratio" of `term_diagnostics`.
        epoch: epoch, counted from 0.
        targets: (B,) targets of the measured batch, which tell why a term is idle.

    Example:
        >>> [text.partition(":")[0] for text in warnings_of({"center": 4.0, "triplet": 0.5}, epoch=3)]
        ['center dominates']
    """
    messages = []
    for name, ratio in ratios.items():
        if ratio is None or epoch == 0:
            continue
        if ratio > DOMINANT:
            messages.append(
                f"{name} dominates: its gradient on the embeddings is {ratio:.3g} times the primary term's; "
                "lower its coefficient"
            )
        elif ratio == 0:
            messages.append(
                f"{name} is idle: its gradient on the embeddings was 0 in the measured batch, {_why_idle(targets)}"
            )
        elif ratio < INERT:
            messages.append(
                f"{name} is inert: its gradient on the embeddings is {ratio:.2g} of the primary term's; "
                "raise its coefficient"
            )
    return messages


def _why_idle(targets: Tensor | None) -> str:
    if targets is not None and len(hard(targets).unique()) < len(targets):
        return "in which classes occur twice: its margins were met"
    return (
        "as it is for pairs and triplets if no class occurs twice; use a larger --batch-size or --sampler classes:MxN"
    )


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names of terms, numbered if one occurs twice."""
    return [n if names.count(n) == 1 else f"{n}#{names[: i + 1].count(n)}" for i, n in enumerate(names)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
