"""Call a loss of another library on a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ..loss import Loss
from ..losses.arguments import check_target_range, embeddings_of, logits_of
from ..types import ModelOutput

Takes = Literal["logits", "embeddings", "cosine-logits"]
Form = Literal["labels", "one-hot", "triplets", "views"]


class AdaptedLoss(Loss):
    """A module or function called as `inner(inputs, labels)`.

    Args:
        inner: the loss.
        takes: which tensor of the model it is given.
        form: in which form it takes a batch: labels as numbers, labels as one-hot rows, every triplet of the batch, or
            embeddings as two equal views of shape (B, 2, D).
        knows_sizes: whether its constructor was given C or D, so that it can refuse others.
        labels_first: whether it is called as `inner(labels, inputs)`.

    Attributes:
        lr_scale: learning rate of the loss's parameters relative to that of the model.
    """

    lr_scale: float = 1.0

    def __init__(
        self,
        inner: Callable[..., Any],
        takes: Takes,
        form: Form = "labels",
        knows_sizes: bool = False,
        labels_first: bool = False,
    ) -> None:
        super().__init__()
        self.inner, self.takes, self.form, self.knows_sizes = inner, takes, form, knows_sizes
        self.labels_first = labels_first

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.value(self.input_of(output), targets)

    def param_groups(self) -> list[dict[str, Any]]:
        return [{**group, "lr_scale": self.lr_scale} for group in super().param_groups()]

    def input_of(self, output: ModelOutput) -> Tensor:
        """Return the tensor that the loss is given."""
        return (embeddings_of if self.takes == "embeddings" else logits_of)(output, self._name)

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the loss gives for its own input, and labels in its own form."""
        if isinstance(targets, Tensor) and not (targets.is_floating_point() or targets.dtype is torch.bool):
            targets = targets.long()  # libraries read other integer types as masks, or refuse them
        if self.form == "triplets":
            _must_be_labels(targets, inputs)
            rows = _triplets(targets)
            # torch means over no triplet and gives NaN; a zero connected to the graph keeps a NaN of the input.
            value: Tensor = self.inner(*(inputs[each] for each in rows)) if rows[0].numel() else 0 * inputs.sum()
            return value
        labels = _one_hot(targets, inputs) if self.form == "one-hot" else targets
        given = torch.stack([inputs, inputs], dim=1) if self.form == "views" else inputs
        value = self.inner(labels, given) if self.labels_first else self.inner(given, labels)
        return value


def _one_hot(targets: Tensor, inputs: Tensor) -> Tensor:
    """Return one-hot rows of the type of `inputs`; the labels are checked here, since the loss never gets them."""
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
