"""What is judged: a loss with its hyper-parameters, fresh, with a state that has moved, or late in its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..expression import Term, filled
from ..loss import Loss
from ..spec import LossSpec
from ..traits import Need, Trait
from ..types import LossContext, ModelOutput
from . import probe
from .cases import Case, fixed_case, full_batch
from .seeded_loss import seeded_class

LAST_EPOCH = (5, 6)
"""Epoch and number of epochs at which a scheduled loss is judged, beside before its first."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One configuration of one loss.

    Attributes:
        spec: the loss.
        hyperparameters: values that differ from the defaults.
        started: whether `update_state` runs on batches that hold every class before a law is judged.
        late: whether `begin_epoch` is called for `LAST_EPOCH` before a law is judged.
        traits: traits that hold beyond those that the instance declares.
        without: traits that do not hold although the instance declares them.
        undeclared_is_unknown: whether a trait that is not declared may hold nevertheless (a loss without a spec);
            otherwise it must not hold.
    """

    spec: LossSpec
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    started: bool = False
    late: bool = False
    traits: frozenset[Trait] = frozenset()
    without: frozenset[Trait] = frozenset()
    undeclared_is_unknown: bool = False

    def __str__(self) -> str:
        term = str(Term(self.spec.name, {k: _plain(v) for k, v in self.hyperparameters.items()}))
        return term + (", started" if self.started else "") + (", last epoch" if self.late else "")

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors of `ModelOutput` that the loss reads."""
        needs = self.spec.needs
        logits = ("logits",) if needs & {Need.LOGITS, Need.COSINE_LOGITS} else ()
        return logits + (("embeddings",) if Need.EMBEDDINGS in needs else ())

    def build(self, context: LossContext, dtype: torch.dtype | None = None, **changes: Any) -> Loss:
        """Return a new instance, with its floating-point state in `dtype`.

        Args:
            context: the task.
            dtype: of parameters and buffers; by default the precision that the loss is judged in.
            changes: hyper-parameters that replace those of the configuration.
        """
        return self._seeded(self.plain_build(context, dtype or self.dtype, **changes))

    def _seeded(self, loss: Loss) -> Loss:
        if self.is_random:
            loss.__class__ = seeded_class(type(loss))
        return loss

    def raw(self, context: LossContext, **changes: Any) -> Loss:
        """Return what the factory builds, in its own precision and before its first epoch."""
        return self._seeded(self._made(context, **changes))

    def _made(self, context: LossContext, **changes: Any) -> Loss:
        arguments = filled(self.hyperparameters, context.class_counts)
        return self.spec.factory(context, **{**arguments, **changes})

    def plain_build(self, context: LossContext, dtype: torch.dtype, **changes: Any) -> Loss:
        """Return a new instance that draws random numbers as it will."""
        loss = self._made(context, **changes)
        loss = loss.to(dtype).without_reminders()
        if self.late:
            loss.begin_epoch(*LAST_EPOCH)
        if self.started:
            for seed in (11, 12):  # the first starts a state, the second moves it
                loss.update_state(*full_batch(context.num_classes, context.embedding_dim, dtype, seed))
        return loss

    def output(self, case: Case, dtype: torch.dtype | None = None) -> ModelOutput:
        """Return the batch as the loss reads it; cosine logits lie between -1 and 1."""
        output = case.output(dtype or self.dtype)
        if Need.COSINE_LOGITS in self.spec.needs:
            factor = 0.4375  # exact, and below 1 for all that `cases` draws
            output = output._replace(logits=output.logits * min(factor, 0.96 / max(case.largest_logit, 1e-9)))
        return output

    @cached_property
    def specimen(self) -> Loss:
        """One instance for reading what it declares; not to be changed."""
        return self.build(fixed_case().context)

    @cached_property
    def state_axes(self) -> dict[str, tuple[str, ...]]:
        """The declared axes of the states that the loss has with these hyper-parameters."""
        held = {name for name, _ in (*self.specimen.named_parameters(), *self.specimen.named_buffers())}
        return {name: axes for name, axes in self.spec.state_axes.items() if name in held}

    @cached_property
    def kinks(self) -> dict[tuple[Case, float], bool]:
        """Whether batches lie near kinks of the loss, by batch and radius, as far as known: many laws ask for it."""
        return {}

    def declares(self, trait: Trait) -> bool:
        """Return whether the instance, or whoever asked for the check, declares a trait."""
        return trait in self.traits or (trait in self.specimen.traits and trait not in self.without)

    # What the loss can take, probed once.

    def _call(self, case: Case, loss: Loss) -> Tensor:
        value: Tensor = loss(self.output(case, torch.float32), case.labels())
        return value

    @cached_property
    def low_precision(self) -> str | None:
        """How the loss shows that it cannot compute in float64, or None."""
        return probe.low_precision(self.plain_build, lambda dtype: self.output(fixed_case(), dtype), self.reads)

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the loss is judged in: float64, or float32 if it cannot compute in float64."""
        return torch.float32 if self.low_precision else torch.float64

    @cached_property
    def _sizes(self) -> tuple[tuple[tuple[int, int], ...], str]:
        return probe.accepted_sizes(self.plain_build, self._call)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The (C, D) of searched batches: small ones that the loss does not clearly refuse."""
        return self._sizes[0]

    @property
    def larger_sizes(self) -> tuple[tuple[int, int], ...]:
        """The (C, D) of the larger batches of a deep search."""
        return tuple((classes, self.fitting_dim(classes, dim)) for classes in (5, 8, 12) for dim in (2, 5, 12))

    @property
    def size_refusal(self) -> str:
        """With which message the loss refuses other sizes, or ""."""
        return self._sizes[1]

    def fitting_dim(self, classes: int, dim: int) -> int:
        """Return `dim`, or if the loss clearly refuses it for this number of classes a larger one that it takes."""
        if not self.size_refusal:
            return dim
        for each in (dim, max(dim, classes), 2 * max(dim, classes)):
            case = fixed_case(size=2, classes=classes, dim=each)
            found = probe.outcome(lambda case=case: self._call(case, self.plain_build(case.context, torch.float32)))  # type: ignore[misc]
            if not isinstance(found, ValueError | TypeError):
                return each
        return dim

    @cached_property
    def is_random(self) -> bool:
        """Whether forward draws from a global random number generator."""
        return probe.is_random(self.plain_build, self._call)

    @cached_property
    def counts_matter(self) -> bool:
        """Whether the loss reads the class counts, and they make a difference."""
        return probe.counts_matter(self.plain_build, self._call)

    @cached_property
    def fewest_rows(self) -> int:
        """The fewest rows that the loss takes, of a batch of one class: 1, or 2 if it refuses one."""
        case = fixed_case(size=1)
        found = probe.outcome(lambda: self._call(case, self.plain_build(case.context, torch.float32)))
        return 2 if isinstance(found, BaseException) else 1


def is_stateful(loss: Loss) -> bool:
    """Return whether a loss has a state that moves by a rule of its own."""
    return type(loss).update_state is not Loss.update_state


def is_scheduled(loss: Loss) -> bool:
    """Return whether a loss changes with the epoch."""
    return type(loss).begin_epoch is not Loss.begin_epoch


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple) and all(each is None or isinstance(each, int | float | str) for each in value):
        return tuple(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
