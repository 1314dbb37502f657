"""The losses once more, as naive loops over scalars straight from their definitions: what law `naive-loop` compares.

They share no code with the losses. What they use of torch is arithmetic on single numbers, so that autograd gives the
gradient.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from lossbench import LoopBatch


def _with_true_cosine(batch: LoopBatch, change: Any) -> Any:
    """Mean cross-entropy of scaled cosines after `change` of the true one."""
    total = 0 * batch.logits.sum()
    for z, y in zip(batch.logits, batch.targets, strict=True):
        scaled = [batch.hyperparameters["scale"] * (change(v) if c == y else v) for c, v in enumerate(z)]
        total = total + sum((v - scaled[y]).exp() for v in scaled).log()
    return total / len(batch.targets)


def norm_face(batch: LoopBatch) -> Any:
    """Mean cross-entropy of scale z."""
    return _with_true_cosine(batch, lambda z: z)


def cos_face(batch: LoopBatch) -> Any:
    """The same with z_y - margin."""
    return _with_true_cosine(batch, lambda z: z - batch.hyperparameters["margin"])


def arc_face(batch: LoopBatch) -> Any:
    """The same with cos(arccos z_y + margin), or -2 less that where the angle exceeds pi; or as insightface has it."""
    margin, smooth = batch.hyperparameters["margin"], batch.hyperparameters["form"] == "smooth"

    def turned(z: Tensor) -> Any:
        angle = z.arccos() + margin
        if smooth:
            return angle.cos() if float(angle) <= math.pi else -2 - angle.cos()
        return z + float(angle.cos() - z)  # a number: constant in backward

    return _with_true_cosine(batch, turned)


def supervised_contrastive(batch: LoopBatch) -> Any:
    """Mean over anchors with positives of the mean over positives of -log e^(cos/t) over the sum for all others."""
    t, y, size = batch.hyperparameters["temperature"], batch.targets, range(len(batch.targets))
    rows = [x / x.norm() if bool(x.any()) else 0 * x for x in batch.embeddings]
    total, anchors = 0 * batch.embeddings.sum(), 0
    for i in size:
        weight = {a: ((rows[i] * rows[a]).sum() / t).exp() for a in size if a != i}
        positives = [p for p in weight if y[p] == y[i]]
        if positives:
            anchors += 1
            total = total - sum((weight[p] / sum(weight.values())).log() for p in positives) / len(positives)
    return total / max(anchors, 1)
