"""What is judged: a loss with its hyper-parameters, fresh or with a state that has moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import torch

from ..expression import Term
from ..loss import Loss
from ..spec import LossSpec
from ..traits import Need, Trait
from ..types import LossContext, ModelOutput
from .cases import Case, fixed_case


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One configuration of one loss.

    Attributes:
        spec: of the loss.
        hyperparameters: beside the defaults.
        started: whether `update_state` runs on batches that hold every class before a law is judged.
        traits: declared for it beyond what the instance declares.
        undeclared_is_unknown: whether a trait that is not declared may hold all the same (a loss without a spec);
            else it must not hold.
    """

    spec: LossSpec
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    started: bool = False
    traits: frozenset[Trait] = frozenset()
    undeclared_is_unknown: bool = False

    def __str__(self) -> str:
        term = str(Term(self.spec.name, {k: _plain(v) for k, v in self.hyperparameters.items()}))
        return term + (", started" if self.started else "")

    @property
    def reads(self) -> tuple[str, ...]:
        """Which of `ModelOutput`'s tensors the loss reads."""
        needs = self.spec.needs
        logits = ("logits",) if needs & {Need.LOGITS, Need.COSINE_LOGITS} else ()
        return logits + (("embeddings",) if Need.EMBEDDINGS in needs else ())

    def build(self, context: LossContext, dtype: torch.dtype = torch.float64, **changes: Any) -> Loss:
        """A new instance, its floating-point state in `dtype`.

        Args:
            context: of the task.
            dtype: of parameters and buffers.
            changes: hyper-parameters instead of the configuration's.
        """
        loss = self.spec.factory(context, **{**self.hyperparameters, **changes})
        loss = loss.to(dtype).without_reminders()
        if self.started:
            for seed in (11, 12):  # the first starts a state, the second moves it
                loss.update_state(*_full_batch(context.num_classes, context.embedding_dim, dtype, seed))
        return loss

    @cached_property
    def specimen(self) -> Loss:
        """One instance for reading what it declares; not to be changed."""
        return self.build(fixed_case().context)

    def declares(self, trait: Trait) -> bool:
        """Whether the instance, or whoever asked for the check, says that the trait holds."""
        return trait in self.traits or trait in self.specimen.traits


@cache
def _full_batch(classes: int, dim: int, dtype: torch.dtype, seed: int) -> tuple[ModelOutput, torch.Tensor]:
    """Two or three rows a class, around class means that lie apart."""
    case = fixed_case(size=2 * classes + seed % 2 * classes, classes=classes, dim=dim, seed=seed)
    output, targets = case.output(dtype), case.labels()
    means = fixed_case(size=classes, classes=classes, dim=dim, seed=7).output(dtype).embeddings
    return ModelOutput(2 * means[targets] + output.embeddings / 4, output.logits), targets


def is_stateful(loss: Loss) -> bool:
    """Whether a loss has a state that moves by a rule of its own."""
    return type(loss).update_state is not Loss.update_state


def configurations(
    spec: LossSpec,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    traits: frozenset[Trait] = frozenset(),
    undeclared_is_unknown: bool = False,
) -> list[Configuration]:
    """The configurations of a loss that the laws judge: the defaults and each variant, fresh and started.

    A loss that must be given a value has no defaults: its variants alone are judged.

    Args:
        spec: of the loss.
        hyperparameters: judge these alone, instead of the defaults and variants.
        traits: that hold beyond what instances declare.
        undeclared_is_unknown: see `Configuration`.

    Example:
        >>> from lossbench import loss_info
        >>> [str(configuration) for configuration in configurations(loss_info("center"))]
        ['center', 'center, started', 'center(alpha=0.1)', 'center(alpha=0.1), started']
    """
    found = []
    alone = hyperparameters is None and spec.variants and spec.required
    for chosen in spec.variants if alone else ({}, *spec.variants) if hyperparameters is None else (hyperparameters,):
        configuration = Configuration(
            spec=spec, hyperparameters=chosen, traits=traits, undeclared_is_unknown=undeclared_is_unknown
        )
        found += (
            [configuration, replace(configuration, started=True)]
            if is_stateful(configuration.specimen)
            else [configuration]
        )
    return found


def case_text(configuration: Configuration, case: Case) -> str:
    """A failing batch as text, with the loss it belongs to."""
    return f"{configuration}: {case.describe(configuration.reads)}"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
