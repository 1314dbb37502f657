"""Map images to `ModelOutput`: normalization, a backbone, and a head applied once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..types import ModelOutput
from .preprocessing import Channels, Preprocessing


class CosineHead(nn.Module):
    """A head that returns cosines between embeddings and one unit vector per class: logits in [-1, 1].

    Args:
        embedding_dim: embedding size D.
        num_classes: number of classes C.
    """

    def __init__(self, embedding_dim: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embeddings: Tensor) -> Tensor:
        return F.linear(_normalized(embeddings), _normalized(self.weight))


def _normalized(rows: Tensor) -> Tensor:
    """Return rows of length 1, and zero rows as they are: in float16 the default epsilon is 0, and 0/0 is NaN."""
    return F.normalize(rows, eps=max(1e-12, torch.finfo(rows.dtype).tiny))


class Classifier(nn.Module):
    """A backbone with a classification head.

    Normalization is part of the model, so that weights cannot receive images normalized for other weights.

    Args:
        backbone: module from normalized images (B, 3, S, S) to embeddings (B, D).
        head: module from embeddings (B, D) to logits (B, C).
        preprocessing: normalization of images, and the share of an image used in evaluation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.backbone, self.head, self.preprocessing = backbone, head, preprocessing
        self.register_buffer("mean", _per_channel(preprocessing.mean))
        self.register_buffer("std", _per_channel(preprocessing.std))

    def forward(self, images: Tensor) -> ModelOutput:
        """Return embeddings and logits.

        Args:
            images: (B, 3, S, S) uint8 in RGB.
        """
        embeddings = self.backbone((images.to(self.mean.dtype) - self.mean) / self.std)
        return ModelOutput(embeddings, self.head(embeddings))


def _per_channel(values: Channels) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
