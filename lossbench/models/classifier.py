"""Images to `ModelOutput`: normalisation, a backbone, and a head applied once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..types import ModelOutput


class CosineHead(nn.Module):
    """Cosines between embeddings and one unit vector a class: logits in [-1, 1], without bias.

    Args:
        embedding_dim: D.
        num_classes: C.
    """

    def __init__(self, embedding_dim: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embeddings: Tensor) -> Tensor:
        return F.linear(F.normalize(embeddings), F.normalize(self.weight))


class Classifier(nn.Module):
    """A backbone with a classification head.

    Normalisation is part of the model, so that weights can't be fed images that were normalised for others.

    Args:
        backbone: normalised images (B, 3, S, S) -> embeddings (B, D).
        head: embeddings (B, D) -> logits (B, C).
        mean: of each channel of RGB, on the scale 0 to 1.
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> ModelOutput:
        """Args:
        images: (B, 3, S, S) uint8 in RGB.
        """
        embeddings = self.backbone((images.to(self.mean.dtype) - self.mean) / self.std)
        return ModelOutput(embeddings, self.head(embeddings))
