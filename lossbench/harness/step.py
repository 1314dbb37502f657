"""One training step as one module: what is wrapped for several processes, compiled and saved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import PluginError
from ..losses.base import Loss
from ..models.classifier import Classifier
from ..types import ModelOutput


class TrainStep(nn.Module):
    """Model and loss together, so that what the loss learns is synchronised, compiled and saved like the model.

    Args:
        model: images -> `ModelOutput`.
        loss: the objective.
        mark: called with the name of each part when it is over.
    """

    def __init__(self, model: Classifier, loss: Loss, mark: Callable[[str], None] = lambda part: None) -> None:
        super().__init__()
        self.model, self.loss, self.mark = model, loss, mark

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ModelOutput]:
        """The loss of a batch, (), and what the model gave for it."""
        output = self.model(images)
        self.mark("forward")
        value = self.loss(output, targets)
        self.mark("loss")
        if not isinstance(value, Tensor) or value.ndim or not (value.requires_grad or not torch.is_grad_enabled()):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            detached = isinstance(value, Tensor) and not value.requires_grad
            raise PluginError(
                f"{type(self.loss).__name__}.forward must return one number that depends on the model's output, "
                f"got {got}{' without a gradient' if detached else ''}"
            )
        return value, output
