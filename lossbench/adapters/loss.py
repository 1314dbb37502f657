"""Call a loss of another library on a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ..loss import Loss
from ..losses.arguments import check_target_range, embeddings_of, logits_of
from ..types import ModelOutput

Takes = Literal["logits", "embeddings"]
Form = Literal["labels", "one-hot", "triplets"]


class AdaptedLoss(Loss):
    """A module or function called as `inner(inputs, labels)`.

    Args:
        inner: the loss.
        takes: which of the model's tensors it is given.
        form: how labels are passed: as numbers, as one-hot rows, or as every triplet of the batch.
        knows_sizes: whether its constructor received C or D, so that it could refuse others.
    """

    def __init__(
        self, inner: Callable[..., Any], takes: Takes, form: Form = "labels", knows_sizes: bool = False
    ) -> None:
        super().__init__()
        self.inner, self.takes, self.form, self.knows_sizes = inner, takes, form, knows_sizes

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.value(self.input_of(output), targets)

    def input_of(self, output: ModelOutput) -> Tensor:
        """Return the tensor that the loss is given."""
        return (logits_of if self.takes == "logits" else embeddings_of)(output, self._name)

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the loss gives for its own input, and labels in its own form."""
        if isinstance(targets, Tensor) and not (targets.is_floating_point() or targets.dtype is torch.bool):
            targets = targets.long()  # libraries read other integer types as masks, or refuse them
        if self.form == "labels":
            value: Tensor = self.inner(inputs, targets)
        elif self.form == "one-hot":
            value = self.inner(inputs, _one_hot(targets, inputs))
        else:
            _must_be_labels(targets, inputs)
            rows = _triplets(targets)
            # torch means over no triplet and gives NaN; a zero connected to the graph keeps a NaN of the input.
            value = self.inner(*(inputs[each] for each in rows)) if rows[0].numel() else 0 * inputs.sum()
        return value


def _one_hot(targets: Tensor, inputs: Tensor) -> Tensor:
    """Return one-hot rows like `inputs`. The adapter checks the labels, because the loss does not receive them."""
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
    """Return the rows of every triplet: two of one class and one of another."""
    same = targets.unsqueeze(0) == targets.unsqueeze(1)
    pairs = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    anchors, positives, negatives = (pairs.unsqueeze(2) & ~same.unsqueeze(1)).nonzero().unbind(1)
    return anchors, positives, negatives
