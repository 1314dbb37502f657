"""A trained run as one module: images in, class probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...loss import Loss
from ...models.classifier import Classifier


class Probabilities(nn.Module):
    """Map uint8 images to class probabilities: normalization, backbone, head, the loss's scores, and their softmax.

    Args:
        model: trained model.
        loss: trained loss, whose `scores` rank the classes.
        shift: (C,) numbers that are subtracted from the scores; None for the scores as trained.
    """

    shift: Tensor

    def __init__(self, model: Classifier, loss: Loss, shift: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.register_buffer("shift", torch.zeros(()) if shift is None else shift.float())

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, C) float32 probabilities; rows sum to 1.

        Args:
            images: (N, 3, S, S) uint8 in RGB, cropped and resized as the run did it.
        """
        return (self.loss.scores(self.model(images)).float() - self.shift).softmax(dim=1)
