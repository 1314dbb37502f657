"""Build a loss of another library from its name."""

from __future__ import annotations

import copy
import inspect
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ..errors import HyperparameterError
from ..loss import Loss
from ..losses.hyperparameters import number
from ..types import LossContext
from .loss import AdaptedLoss, Form, Takes
from .objects import load_object
from .signatures import (
    CLASS_COUNTS,
    COUNTS_FILE,
    EMBEDDING_SIZE,
    NUMBER_OF_CLASSES,
    OF_THE_TASK,
    SIZES,
    call_parameters,
    constructor_parameters,
    taken_of_the_task,
)

CountsAs = Literal["list", "tensor", "array"]
LR_SCALE = "lr_scale"
"""Hyper-parameter of losses that learn parameters: their learning rate relative to that of the model."""


@dataclass(frozen=True)
class AdaptedFactory:
    """Builds an `AdaptedLoss` from the name `module:object`, so that it can be sent to another process.

    A constructor or function that takes sizes or class counts of the task receives them; parameters are drawn from the
    context's seed. A class that takes sizes also has the hyper-parameter `lr_scale`: the learning rate of what it
    learns relative to that of the model.

    Attributes:
        path: `module:object` or `file.py:object`.
        takes: which tensor of the model the loss is given.
        form: in which form it takes a batch.
        fixed: arguments that are always given.
        labels_first: whether it is called with the labels first.
        counts_as: in which form it takes class counts.
    """

    path: str
    takes: Takes
    form: Form = "labels"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    labels_first: bool = False
    counts_as: CountsAs = "list"

    @property
    def __signature__(self) -> inspect.Signature:
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY)
        parameters = self._parameters(load_object(self.path))
        free = [p for name, p in parameters.items() if name not in OF_THE_TASK and name not in self.fixed]
        if SIZES & set(parameters) and LR_SCALE not in parameters:  # it may learn proxies or class vectors
            free.append(inspect.Parameter(LR_SCALE, inspect.Parameter.KEYWORD_ONLY, default=1.0))
        return inspect.Signature([context, *(p.replace(kind=p.KEYWORD_ONLY) for p in free)])

    def __call__(self, context: LossContext, /, **hyperparameters: Any) -> Loss:
        made = load_object(self.path)
        parameters = self._parameters(made)
        if LR_SCALE in hyperparameters and LR_SCALE not in parameters:
            lr_scale = number(LR_SCALE, hyperparameters.pop(LR_SCALE), above=0)
            return self._scaled(self(context, **hyperparameters), lr_scale)
        taken = taken_of_the_task(parameters) - set(hyperparameters)
        wanted = {name: self._of_the_task(name, context) for name in taken}
        given = {**wanted, **self.fixed, **hyperparameters}
        if not isinstance(made, type):
            inner = partial(made, **given) if given else copy.deepcopy(made)
            return self.wrap(inner, hyperparameters, knows_sizes=False)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)  # `torch.manual_seed` would also seed the devices
            inner = self.build(made, given)
        return self.wrap(inner, hyperparameters, knows_sizes=bool(wanted))

    def _scaled(self, loss: Loss, lr_scale: float) -> Loss:
        if isinstance(loss, AdaptedLoss):
            loss.lr_scale = lr_scale
        if lr_scale != 1 and not loss.param_groups():
            raise HyperparameterError(f"{LR_SCALE}={lr_scale:g} has no effect: the loss learns no parameters")
        return loss

    def _parameters(self, made: Any) -> dict[str, inspect.Parameter]:
        """Return the parameters of the constructor, or those of a function after inputs and labels."""
        if isinstance(made, type):
            return constructor_parameters(made)
        if isinstance(made, nn.Module):
            return {}
        skipped = 3 if self.form == "triplets" else 2
        return dict(list(call_parameters(made).items())[skipped:])

    def _of_the_task(self, name: str, context: LossContext) -> Any:
        if name in NUMBER_OF_CLASSES:
            return context.num_classes
        if name in EMBEDDING_SIZE:
            return context.embedding_dim
        if name in COUNTS_FILE:
            return _file_of_counts(context.class_counts)
        assert name in CLASS_COUNTS
        counts = list(context.class_counts)
        if self.counts_as == "list":
            return counts
        tensor = torch.tensor(counts, dtype=torch.float32)
        return tensor if self.counts_as == "tensor" else tensor.numpy()

    def build(self, made: type, arguments: Mapping[str, Any]) -> nn.Module:
        """Build the loss; subclasses can override it to build objects from names."""
        inner: nn.Module = made(**arguments)
        return inner

    def wrap(self, inner: Callable[..., Any], hyperparameters: Mapping[str, Any], *, knows_sizes: bool) -> Loss:
        """Wrap the loss; subclasses can override it to add checks or traits."""
        return AdaptedLoss(inner, self.takes, self.form, knows_sizes, self.labels_first)


@cache
def _counts_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lossbench-counts-")


@cache
def _file_of_counts(counts: tuple[int, ...]) -> str:
    """Return a JSON file of class counts, for losses that read them from one; it is removed with the process."""
    file = Path(_counts_folder().name) / f"{len(counts)}-{abs(hash(counts))}.json"
    file.write_text(json.dumps(list(counts)))
    return str(file)
