"""A training step as one module, which is wrapped for several processes, compiled and saved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...contract import check_contract
from ...errors import RunFailed
from ...loss import Loss
from ...models.classifier import Classifier
from ...ops.gather import gather_batch
from ...types import ModelOutput
from .outputs import detached, first_rows


class TrainStep(nn.Module):
    """Model and loss together, so that parameters of the loss are synchronized, compiled and saved like the model.

    Args:
        model: module from images to `ModelOutput`.
        loss: the objective.
        mark: called with the name of each part when it ends.
        gathers: whether each process computes the loss on the rows of all processes.

    Attributes:
        of_all: with `gathers`, the rows of all processes in the last step; else None.
    """

    def __init__(
        self,
        model: Classifier,
        loss: Loss,
        mark: Callable[[str], None] = lambda part: None,
        gathers: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.mark, self.gathers = model, loss, mark, gathers
        self.of_all: tuple[ModelOutput, Tensor] | None = None
        # Collectives stay outside of compiled graphs. Only here: `disable` imports the compiler, which takes a second.
        self._gathered = torch.compiler.disable(self._gather) if gathers else None
        self.relied_on = False  # whether the loss was checked on a batch of this model

    def forward(self, images: Tensor, targets: Tensor, rows: int | None = None) -> tuple[Tensor, ModelOutput]:
        """Return the scalar loss of a batch and the model's output.

        Args:
            images: (B, 3, H, W).
            targets: (B,) class numbers or (B, C) probabilities.
            rows: number of rows, from the first one, that other processes gather; None for all.
        """
        output = self.model(images)
        self.mark("forward")
        if not self.relied_on and not torch.compiler.is_compiling():
            check_contract(self.loss, output, targets, RunFailed)
            self.relied_on = True
        value = self.loss(*(self._gathered(output, targets, rows) if self._gathered else (output, targets)))
        self.mark("loss")
        return value, output

    def _gather(self, output: ModelOutput, targets: Tensor, rows: int | None) -> tuple[ModelOutput, Tensor]:
        gathered, labels = gather_batch(first_rows(output, rows), targets[:rows])
        self.of_all = detached(gathered), labels
        return gathered, labels
