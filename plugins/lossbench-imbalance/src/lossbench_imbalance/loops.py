"""The losses once more, as naive loops over scalars straight from their definitions: what law `naive-loop` compares.

They share no code with the losses. What they use of torch is arithmetic on single numbers, so that autograd gives the
gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from lossbench import LoopBatch


def _mean(batch: LoopBatch, term: Callable[[Tensor, int], Any]) -> Any:
    return sum(term(z, y) for z, y in zip(batch.logits, batch.targets, strict=True)) / len(batch.targets)


def _probability(z: Any, y: int) -> Any:
    return z[y].exp() / sum(v.exp() for v in z)


def _effective_number_weights(counts: tuple[int, ...], beta: float) -> list[float]:
    raw = [1 / sum(beta**k for k in range(n)) for n in counts]  # a geometric series
    mean = sum(r * n for r, n in zip(raw, counts, strict=True)) / sum(counts)
    return [r / mean for r in raw]


def _optional_weights(batch: LoopBatch) -> list[float]:
    """The weights of a loss that has none by default: those of beta, once the deferred epochs are over."""
    settings, weighs = batch.hyperparameters, batch.state.get("class_weights.weighs")
    if settings["beta"] is None or (settings["defer"] > 0 and not bool(weighs)):
        return [1.0] * len(batch.class_counts)
    return _effective_number_weights(batch.class_counts, settings["beta"])


def softmax_focal(batch: LoopBatch) -> Any:
    """w_y (1 - p)^gamma (-log p)."""
    gamma, w = batch.hyperparameters["gamma"], _optional_weights(batch)
    return _mean(batch, lambda z, y: -w[y] * ((1 - _probability(z, y)) ** gamma) * _probability(z, y).log())


def class_balanced(batch: LoopBatch) -> Any:
    """w_y (-log p), the effective number summed as 1 + beta + beta² + …"""
    w = _effective_number_weights(batch.class_counts, batch.hyperparameters["beta"])
    if batch.hyperparameters["scale"] == "classes":
        w = [each * len(w) / sum(w) for each in w]
    return _mean(batch, lambda z, y: -w[y] * _probability(z, y).log())


def balanced_softmax(batch: LoopBatch) -> Any:
    """-log of n_y e^z_y over the sum of n_c e^z_c."""
    n = batch.class_counts
    return _mean(batch, lambda z, y: -(n[y] * z[y].exp() / sum(k * v.exp() for k, v in zip(n, z, strict=True))).log())


def logit_adjusted(batch: LoopBatch) -> Any:
    """-log of pi_y^tau e^z_y over the sum of pi_c^tau e^z_c."""
    share = [(n / sum(batch.class_counts)) ** batch.hyperparameters["tau"] for n in batch.class_counts]
    return _mean(
        batch, lambda z, y: -(share[y] * z[y].exp() / sum(s * v.exp() for s, v in zip(share, z, strict=True))).log()
    )


def vector_scaling(batch: LoopBatch) -> Any:
    """w_y times the cross-entropy of D_c z_c + tau log pi_c, written as pi_c^tau e^(D_c z_c)."""
    settings, counts = batch.hyperparameters, batch.class_counts
    share = [(n / sum(counts)) ** settings["tau"] for n in counts]
    factor = [(n / max(counts)) ** settings["gamma"] for n in counts]
    raw = [float(n) ** -settings["power"] for n in counts]
    mean = sum(r * n for r, n in zip(raw, counts, strict=True)) / sum(counts)

    def term(z: Tensor, y: int) -> Any:
        parts = [s * (f * v).exp() for s, f, v in zip(share, factor, z, strict=True)]
        return -raw[y] / mean * (parts[y] / sum(parts)).log()

    return _mean(batch, term)


def ldam(batch: LoopBatch) -> Any:
    """w_y times the cross-entropy of s (z - m at y), weighted once the deferred epochs are over."""
    settings, counts = batch.hyperparameters, batch.class_counts
    ones = [1.0] * len(counts)
    w = (
        ones
        if settings["defer"] > 0 and not bool(batch.state["weighs"])
        else _effective_number_weights(counts, settings["beta"])
    )
    largest = max(n**-0.25 for n in counts)
    margin = [settings["max_margin"] * n**-0.25 / largest for n in counts]

    def term(z: Tensor, y: int) -> Any:
        lowered = [settings["scale"] * (v - margin[y] if c == y else v) for c, v in enumerate(z)]
        return w[y] * sum((v - lowered[y]).exp() for v in lowered).log()

    return _mean(batch, term)


def seesaw(batch: LoopBatch) -> Any:
    """-log of e^z_y over e^z_y + sum S_j e^z_j, with S a number without gradient."""
    p, q, n = batch.hyperparameters["p"], batch.hyperparameters["q"], batch.class_counts

    def term(z: Tensor, y: int) -> Any:
        total = z[y].exp()
        for j in range(len(n)):
            if j != y:
                ratio = float(_probability(z, j)) / float(_probability(z, y))
                total = total + min(1.0, n[j] / n[y]) ** p * max(1.0, ratio) ** q * z[j].exp()
        return -(z[y].exp() / total).log()

    return _mean(batch, term)


def label_smoothing(batch: LoopBatch) -> Any:
    """-sum_c w_c t_c log p_c with t_c = e/C, and 1 - e more at the label."""
    e, w = batch.hyperparameters["smoothing"], _optional_weights(batch)

    def term(z: Tensor, y: int) -> Any:
        share = [e / len(z) + (1 - e if c == y else 0) for c in range(len(z))]
        return -sum(w[c] * t * _probability(z, c).log() for c, t in enumerate(share))

    return _mean(batch, term)


def generalised_cross_entropy(batch: LoopBatch) -> Any:
    """(1 - p^q) / q."""
    q = batch.hyperparameters["q"]
    return _mean(batch, lambda z, y: (1 - _probability(z, y) ** q) / q)
