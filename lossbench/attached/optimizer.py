"""The parameters of an optimizer that a loss is attached to."""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from ..errors import UsageError
from ..loss import Loss


def trained_parameters(optimizer: Optimizer, head: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a head that require gradients.

    Raises:
        UsageError: the optimizer holds none of them.
    """
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    own = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if own and not any(id(parameter) in held for parameter in own):
        raise UsageError(
            "the optimizer holds no parameter of the head: pass the head of the model that it trains, and make the "
            "optimizer from model.parameters()"
        )
    return own


def give_parameters(optimizer: Optimizer, loss: Loss) -> None:
    """Put the parameters of a loss into groups of their own, with its learning rate and weight decay."""
    for wanted in loss.param_groups():
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
