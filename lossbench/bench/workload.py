"""The batch on which losses are measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from ..types import LossContext, ModelOutput


@dataclass(frozen=True)
class Workload:
    """The sizes and the device of a batch.

    Attributes:
        batch: batch size B, at least 1.
        classes: number of classes C, at least 2.
        dim: embedding size D, at least 1.
        device: "cpu", "cuda" or "cuda:N".
        state_learns: whether the state of a loss, such as centers, also receives a gradient.

    Raises:
        ConfigError: a size is too small, or the device does not exist.

    Example:
        >>> Workload(4, 3, 2).batch_of_model()[0].logits.shape
        torch.Size([4, 3])
    """

    batch: int
    classes: int
    dim: int
    device: str = "cpu"
    state_learns: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (("batch", self.batch, 1), ("classes", self.classes, 2), ("dim", self.dim, 1)):
            if value < least:
                raise ConfigError(f"--{name} must be at least {least}, got {value}")
        kind, _, number = self.device.partition(":")
        if kind not in ("cpu", "cuda") or not (number == "" or (kind == "cuda" and number.isdecimal())):
            raise ConfigError(f"--device must be cpu, cuda or cuda:N, got {self.device!r}")
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if kind == "cuda" and int(number or 0) >= gpus:
            raise ConfigError(f"--device {self.device}: this machine has {gpus} CUDA devices; pass --device cpu")

    def __str__(self) -> str:
        return f"({self.batch}, {self.classes}, {self.dim})"

    @property
    def context(self) -> LossContext:
        """Return a context in which the first class is ten times as frequent as the last."""
        counts = tuple(1000 - 900 * c // max(self.classes - 1, 1) for c in range(self.classes))
        return LossContext(num_classes=self.classes, embedding_dim=self.dim, class_counts=counts)

    def batch_of_model(self) -> tuple[ModelOutput, Tensor]:
        """Return fixed normal numbers in float32, and labels that cycle through the classes."""
        generator = torch.Generator().manual_seed(0)
        embeddings = torch.randn(self.batch, self.dim, generator=generator)
        logits = torch.randn(self.batch, self.classes, generator=generator)
        targets = torch.arange(self.batch) % self.classes
        targets = targets[torch.randperm(self.batch, generator=generator)]
        return ModelOutput(embeddings.to(self.device), logits.to(self.device)), targets.to(self.device)

    def centers(self) -> Tensor:
        """Return (C, D) normal numbers for a state of this shape, so that every class is initialized."""
        return torch.randn(self.classes, self.dim, generator=torch.Generator().manual_seed(1)).to(self.device)
