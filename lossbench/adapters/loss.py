"""Call a loss of another library on a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ..loss import Loss
from ..losses.arguments import check_target_range
from ..types import ModelOutput

Takes = Literal["logits", "embeddings"]
Form = Literal["labels", "one-hot", "triplets"]


class AdaptedLoss(Loss):
    """A module or function called as `inner(inputs, labels)`.

    Args:
        inner: the loss.
        takes: the model's tensor that it reads.
        form: form of its labels: numbers, one-hot rows, or all triplets of the batch.
        knows_sizes: whether its constructor received C or D, so that it can refuse other sizes.
    """

    def __init__(
        self, inner: Callable[..., Any], takes: Takes, form: Form = "labels", knows_sizes: bool = False
    ) -> None:
        super().__init__()
        self.inner, self.takes, self.form, self.knows_sizes = inner, takes, form, knows_sizes

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.value(output.logits if self.takes == "logits" else output.embeddings, targets)

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the value of the loss for its input and labels in its form."""
        if self.form == "labels":
            value: Tensor = self.inner(inputs, targets)
        elif self.form == "one-hot":
            value = self.inner(inputs, _one_hot(targets, inputs))
        else:
            _must_be_labels(targets, inputs)
            value = self.inner(*(inputs[rows] for rows in _triplets(targets)))
        return value


def _one_hot(targets: Tensor, inputs: Tensor) -> Tensor:
    """Return one-hot labels like `inputs`, after checking the labels, which the loss does not receive."""
    _must_be_labels(targets, inputs)
    if inputs.ndim != 2:
        raise ValueError(f"inputs must have shape (B, C), got {tuple(inputs.shape)}")
    try:
        return torch.zeros_like(inputs, requires_grad=False).scatter_(1, targets.long().unsqueeze(1), 1.0)
    except (IndexError, RuntimeError):
        check_target_range(targets, inputs.shape[1])
        raise


def _must_be_labels(targets: Tensor, inputs: Tensor) -> None:
    if targets.ndim != 1 or targets.is_floating_point():
        raise ValueError(f"targets must be whole numbers of shape (B,), got {targets.dtype} of {tuple(targets.shape)}")
    if len(targets) != len(inputs):
        raise ValueError(f"targets must be one label for each of {len(inputs)} rows, got {len(targets)}")


def _triplets(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of every triplet: two rows of one class and one of another."""
    same = targets.unsqueeze(0) == targets.unsqueeze(1)
    pairs = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    anchors, positives, negatives = (pairs.unsqueeze(2) & ~same.unsqueeze(1)).nonzero().unbind(1)
    return anchors, positives, negatives
