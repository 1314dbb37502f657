"""One training step as one module: what is wrapped for several processes, compiled and saved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...errors import RunFailed
from ...loss import Loss
from ...models.classifier import Classifier
from ...testing.contract import check_contract
from ...types import ModelOutput


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
        self.relied_on = False  # whether the loss was looked at on a batch of this model

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ModelOutput]:
        """The loss of a batch, (), and what the model gave for it."""
        output = self.model(images)
        self.mark("forward")
        if not self.relied_on and not torch.compiler.is_compiling():
            check_contract(self.loss, output, targets, RunFailed)
            self.relied_on = True
        value = self.loss(output, targets)
        self.mark("loss")
        return value, output
