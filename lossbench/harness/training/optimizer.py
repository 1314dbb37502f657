"""Build the optimizer and its schedule."""

from __future__ import annotations

import math

import torch
from timm.optim import param_groups_weight_decay
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ...loss import Loss
from ...models.classifier import Classifier


def build_optimizer(name: str, model: Classifier, loss: Loss, *, lr: float, weight_decay: float) -> Optimizer:
    """Return AdamW or SGD with Nesterov momentum for the parameters of model and loss.

    Biases and normalization scales of the model have no weight decay; the loss sets the weight decay of its parameters.

    Args:
        name: "adamw" or "sgd".
        model: the classifier.
        loss: the loss, whose `param_groups` have `lr_scale`, relative to `lr`.
        lr: peak learning rate.
        weight_decay: weight decay of the model.
    """
    groups = [*param_groups_weight_decay(model, weight_decay), *loss.param_groups()]
    for group in groups:
        group["lr"] = lr * group.pop("lr_scale", 1.0)
    # Fused kernels are the fastest, and they read the guard's flag on the device.
    fused = next(model.parameters()).device.type in ("cuda", "cpu")
    if name == "sgd":
        return SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=fused)
    return AdamW(groups, lr=lr, fused=fused)


def build_schedule(optimizer: Optimizer, *, steps: int, warmup_steps: int) -> LambdaLR:
    """Return a schedule with linear warm-up, then cosine decay to zero, per step."""
    return LambdaLR(optimizer, lambda step: learning_rate_share(step, steps, warmup_steps))


def learning_rate_share(step: int, steps: int, warmup_steps: int) -> float:
    """Return the learning rate at a step as a share of its peak.

    Example:
        >>> [round(learning_rate_share(step, 10, 2), 2) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def mask_steps(optimizer: Optimizer, found: torch.Tensor) -> None:
    """Make a fused optimizer skip steps while `found` is 1, without synchronization."""
    optimizer.grad_scale = None  # type: ignore[attr-defined]  # read by fused kernels, as the gradient scaler sets it
    optimizer.found_inf = found  # type: ignore[attr-defined]
