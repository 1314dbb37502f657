"""What a loss declares of itself: its name, what it reads, what holds for it, what may be set."""

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
        needs: what the loss reads.
        traits: what holds for every configuration, by default the traits of the factory's class; an instance may have
            more.
        auxiliary: whether it is only a term beside a loss on the logits.
        joint: the published objective of an auxiliary loss, such as "softmax + 0.001*center".
        state_axes: names of the axes of its state, such as {"centers": ("class", "embedding")}.
        variants: hyper-parameters, beside the defaults, that the laws also judge.
        limits: (hyper-parameters, parent) pairs: with these it is exactly the parent, a formula of one bare term.
        loop: the definition as naive scalar code on a `LoopBatch`: it returns the value, or the value and the state
            after a step, such as `(value, {"centers": rows})`.
        use_when: one sentence on when it is worth trying, or "".
        avoid_when: one sentence on when it is not, or "".
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
    use_when: str = ""
    avoid_when: str = ""

    def __post_init__(self) -> None:
        # An adapted loss, "pml/CircleLoss" or "torch.nn:CrossEntropyLoss", keeps the spelling of its library.
        if not self.is_adapted and not _KEBAB_CASE.fullmatch(self.name):
            raise ValueError(f"a loss name is kebab-case, such as 'my-loss', got {self.name!r}")
        if not callable(self.factory):
            raise ValueError(f"{self.name}: factory must be called as factory(context), got {self.factory!r}")
        if vars(self)["traits"] is None:
            traits = getattr(self.factory, "traits", None)
            object.__setattr__(self, "traits", traits if isinstance(traits, frozenset) else frozenset())
        if self.auxiliary and self.joint is None:
            raise ValueError(f"{self.name}: an auxiliary loss states its joint objective, as 'softmax + 1*{self.name}'")

    @property
    def is_adapted(self) -> bool:
        """Whether it was made for a loss of another library, of which only what is known is declared."""
        return bool({"/", ":"} & set(self.name))

    @property
    def formula(self) -> str:
        """What the factory says of its formula, else the docstring of the module that defines it; may be empty."""
        said = getattr(self.factory, "formula", None)
        module = inspect.getmodule(self.factory)
        return said if isinstance(said, str) else inspect.cleandoc((module and module.__doc__) or "")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Name -> default, read from the factory's signature (`inspect.Parameter.empty`: must be given)."""
        return {p.name: p.default for p in self._parameters() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}

    @property
    def required(self) -> list[str]:
        """Hyper-parameters without a default."""
        return [name for name, default in self.hyperparameters.items() if default is inspect.Parameter.empty]

    def check_hyperparameters(self, given: Mapping[str, Any]) -> None:
        """Refuses names that the factory does not take, and names that it must be given.

        Raises:
            HyperparameterError: naming the loss, the name, and what it takes.
        """
        known = self.hyperparameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self._parameters())
        for name in given:
            if name not in known and not takes_any:
                takes = did_you_mean(name, known) if known else "It takes none."
                raise HyperparameterError(f"{self.name} has no hyper-parameter {name!r}. {takes}")
        for name in self.required:
            if name not in given:
                raise HyperparameterError(f"{self.name} needs a value for {name!r}, as in {self.name}({name}=…)")

    def _parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.factory).parameters.values())[1:]  # the first is the context
