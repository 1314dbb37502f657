"""What the hooks of a head and of an optimizer keep between a forward pass and a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..types import LossContext, ModelOutput


class Capture:
    """The hook of a head: keeps the input and the mode of its last forward pass.

    A copy of the model has a copy of the hook, so that a moving average of the model does not disturb the criterion.
    """

    def __init__(self) -> None:
        self.embeddings: Tensor | None = None
        self.training = False

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.embeddings = inputs[0] if inputs else None
        self.training = module.training and torch.is_grad_enabled()

    def __getstate__(self) -> dict[str, Any]:
        return {"embeddings": None, "training": False}


class Cycle:
    """The outputs of the micro-batches since the last optimizer step.

    `after_backward` runs when a gradient of the head was accumulated. If the gradient was cleared or changed in another
    way since the backward pass before, a step was attempted and skipped: what came before is dropped.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self.steps = 0
        self._with_gradient = 0
        self._gradient: Tensor | None = None
        self._version = -1

    def add(self, *part: Tensor) -> None:
        self.parts.append(part)  # type: ignore[arg-type]

    def after_backward(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        continued = gradient is self._gradient and gradient._version == self._version + 1
        if not continued:
            self.parts = self.parts[self._with_gradient :]
        self._with_gradient, self._gradient, self._version = len(self.parts), gradient, gradient._version

    def take(self) -> tuple[ModelOutput, Tensor] | None:
        parts, self.parts, self._with_gradient, self._gradient = self.parts, [], 0, None
        if not parts:
            return None
        if len(parts) == 1:
            embeddings, logits, targets = parts[0]
        else:
            embeddings, logits, targets = (torch.cat(each) for each in zip(*parts, strict=True))
        return ModelOutput(embeddings, logits), targets


def place(module: nn.Module, device: torch.device) -> bool:
    """Move a module to a device if it has a tensor elsewhere, and return True.

    A criterion that is passed to `Accelerator.prepare` is not moved there.
    """
    if any(tensor.device != device for tensor in (*module.parameters(), *module.buffers())):
        module.to(device)
    return True


def no_rows(context: LossContext, device: torch.device) -> tuple[ModelOutput, Tensor]:
    """Return the output and the targets of a batch without rows."""
    embeddings = torch.zeros(0, context.embedding_dim, device=device)
    logits = torch.zeros(0, context.num_classes, device=device)
    return ModelOutput(embeddings, logits), torch.zeros(0, dtype=torch.int64, device=device)
