"""Build a loss of another library from its name."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..loss import Loss
from ..types import LossContext
from .loss import AdaptedLoss, Form, Takes
from .signatures import EMBEDDING_SIZE, NUMBER_OF_CLASSES, SIZES, constructor_parameters, sizes_taken


@dataclass(frozen=True)
class AdaptedFactory:
    """Builds an `AdaptedLoss` from the name `module:object`, so that it can be sent to another process.

    A constructor that takes sizes of the task receives them; parameters are drawn from the context's seed.
    """

    path: str
    takes: Takes
    form: Form = "labels"
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def __signature__(self) -> inspect.Signature:
        made = load_object(self.path)
        parameters = constructor_parameters(made) if isinstance(made, type) else {}
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY)
        hyperparameters = [p.replace(kind=p.KEYWORD_ONLY) for name, p in parameters.items() if name not in SIZES]
        return inspect.Signature([context, *hyperparameters])

    def __call__(self, context: LossContext, /, **hyperparameters: Any) -> Loss:
        made = load_object(self.path)
        if not isinstance(made, type):
            return self.wrap(copy.deepcopy(made), hyperparameters, knows_sizes=False)
        sizes = dict.fromkeys(NUMBER_OF_CLASSES, context.num_classes)
        sizes |= dict.fromkeys(EMBEDDING_SIZE, context.embedding_dim)
        wanted = {name: sizes[name] for name in sizes_taken(made)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            inner = self.build(made, {**wanted, **self.fixed, **hyperparameters})
        return self.wrap(inner, hyperparameters, knows_sizes=bool(wanted))

    def build(self, made: type, arguments: Mapping[str, Any]) -> nn.Module:
        """Build the loss; subclasses can override it to build objects from names."""
        inner: nn.Module = made(**arguments)
        return inner

    def wrap(self, inner: Callable[..., Any], hyperparameters: Mapping[str, Any], *, knows_sizes: bool) -> Loss:
        """Wrap the loss; subclasses can override it to add checks or traits."""
        return AdaptedLoss(inner, self.takes, self.form, knows_sizes)


def load_object(path: str) -> Any:
    """Import and return the object `module:name`."""
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
