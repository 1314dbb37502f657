"""What the hooks of a head and of an optimizer keep between a forward pass and a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..types import LossContext, ModelOutput


class Capture:
    """The hook of a head: keeps the input and the mode of its last forward pass.

    A copy of the model has a copy of the hook, so that a moving average of the model does not disturb the criterion.
    """

    def __init__(self) -> None:
        self.embeddings: Tensor | None = None
        self.training = self.with_gradient = False

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        self.embeddings = inputs[0] if inputs else next(iter(named.values()), None)
        self.with_gradient = torch.is_grad_enabled()
        self.training = module.training and self.with_gradient

    def take(self, logits: Tensor, embedding_dim: int, *, are_read: bool) -> Tensor:
        """Return the (B, D) embeddings that belong to logits; each forward pass is used once.

        Args:
            logits: (B, C).
            embedding_dim: D.
            are_read: whether the loss reads embeddings.

        Raises:
            UsageError: there was no forward pass of the head, it ran without gradients, or shapes do not match.
        """
        embeddings, self.embeddings = self.embeddings, None
        if embeddings is None:
            raise UsageError(
                "the head was not called since the last loss: call the model before the criterion, once for each loss; "
                "the head that was attached must be part of that model. For mixup, call the criterion once, with "
                "probabilities of shape (B, C) as targets"
            )
        if embeddings.ndim != 2 or embeddings.shape[0] != logits.shape[0]:
            raise UsageError(
                f"the input of the head has shape {tuple(embeddings.shape)}, expected ({logits.shape[0]}, "
                f"{embedding_dim}) as for logits of shape {tuple(logits.shape)}: attach the module that turns "
                "embeddings of whole samples into logits"
            )
        if are_read and logits.requires_grad and not self.with_gradient:
            raise UsageError(
                "the head ran without gradients, as in activation checkpointing with use_reentrant=True, so the loss "
                "cannot train the embeddings: pass use_reentrant=False, or leave the head out of the checkpoint"
            )
        return embeddings

    def __getstate__(self) -> dict[str, Any]:
        return {"embeddings": None, "training": False, "with_gradient": False}


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
