"""Build the optimizer and its schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ...loss import Loss
from ...models.classifier import Classifier
from .eager import eager

_OF_BACKBONE = "of_backbone"  # key of a parameter group


def build_optimizer(
    name: str,
    model: Classifier,
    loss: Loss,
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    backbone_apart: bool = False,
) -> Optimizer:
    """Return AdamW or SGD with Nesterov momentum for the parameters of model and loss.

    Biases and normalization scales of the model have no weight decay; the loss sets the weight decay of its parameters.

    Args:
        name: "adamw" or "sgd".
        model: the classifier.
        loss: the loss, whose `param_groups` have `lr_scale`, relative to `lr`.
        lr: peak learning rate.
        weight_decay: weight decay of the model.
        layer_decay: learning rate of each layer of the backbone as a share of the next layer's; the head has `lr`.
        backbone_apart: whether the backbone has parameter groups of its own, for a schedule of its own.
    """
    groups = [*_groups(model, weight_decay, layer_decay, backbone_apart), *loss.param_groups()]
    for group in groups:
        group["lr"] = lr * group.pop("lr_scale", 1.0)
    # Fused kernels are the fastest, and they read the guard's flag on the device.
    fused = next(model.parameters()).device.type in ("cuda", "cpu")
    optimizer: Optimizer
    if name == "sgd":
        optimizer = eager(SGD)(groups, lr=lr, momentum=0.9, nesterov=True, fused=fused)
    else:
        optimizer = eager(AdamW)(groups, lr=lr, fused=fused)
    return optimizer


def _groups(model: Classifier, weight_decay: float, layer_decay: float, backbone_apart: bool) -> list[dict[str, Any]]:
    """Return parameter groups of the model, those of the head first, whose learning rate is reported."""
    if layer_decay == 1 and not backbone_apart:
        return _by_decay(model, weight_decay)
    from timm.optim import param_groups_layer_decay  # here, because it is slow to import

    backbone: list[dict[str, Any]] = param_groups_layer_decay(model.backbone, weight_decay, layer_decay=layer_decay)
    for group in backbone:
        group |= {_OF_BACKBONE: True, "lr_scale": layer_decay * group["lr_scale"]}  # the head is one layer further
    return [*_by_decay(model.head, weight_decay), *backbone]


def _by_decay(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return a group of vectors, scalars and biases without weight decay, and a group of the other parameters."""
    without: list[nn.Parameter] = []
    with_decay: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_vector = parameter.ndim <= 1 or name.endswith(".bias")
            (without if is_vector or not weight_decay else with_decay).append(parameter)
    groups = ({"params": without, "weight_decay": 0.0}, {"params": with_decay, "weight_decay": weight_decay})
    return [group for group in groups if group["params"]]


def build_schedule(optimizer: Optimizer, *, steps: int, warmup_steps: int, frozen_steps: int = 0) -> LambdaLR:
    """Return a schedule with linear warm-up, then cosine decay to zero, per step.

    Args:
        optimizer: the optimizer.
        steps: number of steps of the run.
        warmup_steps: number of steps of the warm-up.
        frozen_steps: number of steps at the start in which the backbone's learning rate is 0; its warm-up follows.
    """

    def share(step: int) -> float:
        return learning_rate_share(step, steps, warmup_steps)

    def backbone_share(step: int) -> float:
        later = step - frozen_steps
        return learning_rate_share(later, steps - frozen_steps, warmup_steps) if later >= 0 else 0.0

    return LambdaLR(optimizer, [backbone_share if _OF_BACKBONE in g else share for g in optimizer.param_groups])


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
