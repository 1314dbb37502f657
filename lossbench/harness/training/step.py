"""A training step as one module, which is wrapped for several processes, compiled and saved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...contract import check_contract
from ...errors import RunFailed
from ...loss import Loss
from ...models.classifier import Classifier
from ...types import ModelOutput


class TrainStep(nn.Module):
    """Model and loss together, so that parameters of the loss are synchronized, compiled and saved like the model.

    Args:
        model: module from images to `ModelOutput`.
        loss: the objective.
        mark: called with the name of each part when it ends.
    """

    def __init__(self, model: Classifier, loss: Loss, mark: Callable[[str], None] = lambda part: None) -> None:
        super().__init__()
        self.model, self.loss, self.mark = model, loss, mark
        self.relied_on = False  # whether the loss was checked on a batch of this model

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ModelOutput]:
        """Return the scalar loss of a batch and the model's output."""
        output = self.model(images)
        self.mark("forward")
        if not self.relied_on and not torch.compiler.is_compiling():
            check_contract(self.loss, output, targets, RunFailed)
            self.relied_on = True
        value = self.loss(output, targets)
        self.mark("loss")
        return value, output
