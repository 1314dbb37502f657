"""Hyper-parameters that take one explicit weight for each class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import probe
from .cases import fixed_case
from .configuration import Configuration

_NAMES = ("weight", "weights", "class_weight", "class_weights")


def takes_weights(configuration: Configuration) -> bool:
    """Return whether a loss takes explicit weights, beside the other hyper-parameters of the configuration."""
    context = fixed_case().context
    given = weighted(configuration, torch.ones(context.num_classes))
    built = probe.outcome(lambda: configuration.raw(context, **given))
    return bool(given) and not isinstance(built, ValueError | TypeError)


def weighted(configuration: Configuration, weights: Tensor) -> dict[str, Any]:
    """Return the hyper-parameter of explicit weights (C,): a tensor where torch's name is used, else numbers."""
    known = configuration.spec.hyperparameters
    names = [name for name in _NAMES if name in known and known[name] is None]
    return {name: weights if name == "weight" else tuple(weights.tolist()) for name in names[:1]}
