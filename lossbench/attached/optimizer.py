"""The parameters of an optimizer that a loss is attached to."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

from ..distributed import is_distributed
from ..errors import UsageError
from ..head import check_not_frozen
from ..loss import Loss


def unwrapped(optimizer: Any) -> Optimizer:
    """Return the optimizer, taken out of accelerate's wrapper.

    Raises:
        UsageError: it is not an optimizer.
    """
    if not isinstance(optimizer, Optimizer):
        raise UsageError(
            f"follow takes the optimizer of the model, such as torch.optim.AdamW(…), got {type(optimizer).__name__}"
        )
    inner = getattr(optimizer, "optimizer", optimizer)
    return inner if isinstance(inner, Optimizer) else optimizer


def trained_parameters(optimizer: Optimizer, head: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a head that require gradients.

    Raises:
        UsageError: the optimizer holds none of them, or none requires a gradient.
    """
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    own = [parameter for parameter in head.parameters() if parameter.requires_grad]
    check_not_frozen(head)
    if own and not any(id(parameter) in held for parameter in own):
        raise UsageError(
            "the optimizer holds no parameter of the head: pass the head of the model that it trains, and make the "
            "optimizer from model.parameters()"
        )
    return own


def give_parameters(optimizer: Optimizer, loss: Loss) -> None:
    """Put the parameters of a loss into groups of their own, with its learning rate and weight decay.

    Raises:
        UsageError: a learning-rate scheduler has counted the groups already.
    """
    groups = loss.param_groups()
    if groups and any("initial_lr" in group for group in optimizer.param_groups):
        raise UsageError(
            "a learning-rate scheduler was made from this optimizer before follow, which adds a group for what the "
            "loss learns: call follow first, then make the scheduler"
        )
    for wanted in groups:
        ids = {id(parameter) for parameter in wanted["params"]}
        lr = optimizer.param_groups[0]["lr"]
        for group in optimizer.param_groups:
            if any(id(parameter) in ids for parameter in group["params"]):
                lr = group["lr"]
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in ids]
        added = {"params": wanted["params"], "lr": lr * wanted.get("lr_scale", 1.0)}
        if "weight_decay" in optimizer.defaults:
            added["weight_decay"] = wanted.get("weight_decay", 0.0)
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        optimizer.add_param_group(added)


class Averaging:
    """A hook before each optimizer step that averages the gradients of what a loss learns over all processes.

    DistributedDataParallel averages only the parameters of the module that it wraps: those of a loss outside would
    drift apart. If the loss is inside, the average of equal gradients changes nothing. Parameters that FSDP shards have
    another type or shape than before and are left to it.

    Args:
        loss: the loss.
    """

    def __init__(self, loss: Loss) -> None:
        self.parameters = [(parameter, parameter.shape) for parameter in loss.parameters() if parameter.requires_grad]

    def __call__(self, *_: Any) -> None:
        if not self.parameters or not is_distributed():
            return
        for parameter, shape in self.parameters:
            if hasattr(parameter, "device_mesh") or parameter.shape != shape:
                continue
            if parameter.grad is None:  # of a batch without pairs; the other processes wait for it
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()
