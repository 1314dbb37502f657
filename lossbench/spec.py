"""The declaration of a loss: name, needs, traits and hyper-parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import HyperparameterError, did_you_mean
from .traits import Need, Trait

if TYPE_CHECKING:
    from .loss import Loss

_KEBAB_CASE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class LossSpec:
    """One entry of the registry.

    Attributes:
        name: kebab-case registry name.
        factory: `factory(context, **hyperparameters) -> Loss`; its signature is the list of hyper-parameters.
        summary: one line.
        reference: paper and place, or "-".
        needs: inputs that the loss reads.
        traits: traits of every configuration, by default those of the factory's class; an instance may have more.
        auxiliary: whether it must be combined with a loss on the logits.
        joint: the published objective of an auxiliary loss, such as "softmax + 0.001*center".
        state_axes: names of the axes of its state, such as {"centers": ("class", "embedding")}.
        variants: hyper-parameters, in addition to the defaults, that the laws also test.
        limits: pairs (hyper-parameters, parent): with these it equals the parent, a formula of one bare term.
        loop: the definition as naive scalar code on a `LoopBatch`: it returns the value, or the value and the state
            after a step, such as `(value, {"centers": rows})`.
        expected_failures: name of a law -> why the loss breaks it by definition. Strict: if the law holds, it fails.
        use_when: one sentence on when to use it, or "".
        avoid_when: one sentence on when not to use it, or "".
    """

    name: str
    factory: Callable[..., Loss]
    summary: str
    reference: str
    needs: frozenset[Need]
    traits: frozenset[Trait] = None  # type: ignore[assignment]  # resolved below
    auxiliary: bool = False
    joint: str | None = None
    state_axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: tuple[Mapping[str, Any], ...] = ()
    limits: tuple[tuple[Mapping[str, Any], str], ...] = ()
    loop: Callable[..., Any] | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    use_when: str = ""
    avoid_when: str = ""

    def __post_init__(self) -> None:
        # An adapted loss, "pml/CircleLoss" or "torch.nn:CrossEntropyLoss", keeps the spelling of its library.
        if not self.is_adapted and not _KEBAB_CASE.fullmatch(self.name):
            raise ValueError(f"a loss name must be kebab-case, such as 'my-loss', got {self.name!r}")
        if not callable(self.factory):
            raise ValueError(f"{self.name}: factory must be callable as factory(context), got {self.factory!r}")
        if vars(self)["traits"] is None:
            traits = getattr(self.factory, "traits", None)
            object.__setattr__(self, "traits", traits if isinstance(traits, frozenset) else frozenset())
        for law, reason in self.expected_failures.items():
            if not isinstance(reason, str) or not reason.strip():
                raise ValueError(f"{self.name}: expected_failures needs a reason for {law!r}, got {reason!r}")
        if self.auxiliary and self.joint is None:
            raise ValueError(
                f"{self.name}: an auxiliary loss must state its joint objective, such as 'softmax + 1*{self.name}'"
            )

    @property
    def is_adapted(self) -> bool:
        """Whether the spec adapts a loss of another library and declares only known traits."""
        return bool({"/", ":"} & set(self.name))

    @property
    def formula(self) -> str:
        """The formula that the factory declares, or the docstring of its module; may be empty."""
        said = getattr(self.factory, "formula", None)
        module = inspect.getmodule(self.factory)
        return said if isinstance(said, str) else inspect.cleandoc((module and module.__doc__) or "")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Defaults by name from the factory's signature (`inspect.Parameter.empty` for required ones)."""
        return {p.name: p.default for p in self._parameters() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}

    @property
    def required(self) -> list[str]:
        """Hyper-parameters without a default."""
        return [name for name, default in self.hyperparameters.items() if default is inspect.Parameter.empty]

    def check_hyperparameters(self, given: Mapping[str, Any]) -> None:
        """Raise an error for names that the factory does not have, and for missing required names.

        Raises:
            HyperparameterError: naming the loss, the name, and the known names.
        """
        known = self.hyperparameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self._parameters())
        for name in given:
            if name not in known and not takes_any:
                takes = did_you_mean(name, known) if known else "It has none."
                raise HyperparameterError(f"{self.name} has no hyper-parameter {name!r}. {takes}")
        for name in self.required:
            if name not in given:
                raise HyperparameterError(f"{self.name} needs a value for {name!r}, as in {self.name}({name}=…)")

    def _parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.factory).parameters.values())[1:]  # the first parameter is the context
