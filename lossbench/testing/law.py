"""What a law is: a function whose docstring is its statement, with the conditions under which it applies.

The first paragraph of the docstring states the law; a paragraph that begins with "Remedy:" says how to mend a
violation. A law raises `Violation` if the loss breaks it and returns otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from hypothesis.errors import HypothesisException

from ..errors import UsageError, did_you_mean
from ..traits import Trait
from .configuration import Configuration
from .trial import Trial
from .violation import Kind, NotApplicableError, Violation

Reads = Literal["logits", "embeddings"]
Unless = Callable[[Configuration], str | None]
Group = Literal["Calculus", "Finiteness", "Symmetry", "Meaning", "Systems", "Arguments", "Size and scale", "Life"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""The groups in the order of the page of laws."""
_COMPARE: tuple[Group, ...] = ("Symmetry", "Meaning", "Size and scale")


def judge_parts(parts: Iterable[Callable[[], None]]) -> None:
    """Judge all parts of a law, so that a refusal by one part does not hide a wrong result in another.

    Raises:
        Violation: for all silent violations together if there are any, else for the unclear refusals.
        Exception: else, the first exception with which the loss refused a part's input.
    """
    silent: list[str] = []
    unclear: list[str] = []
    refusals: list[Exception] = []
    for part in parts:
        try:
            part()
        except Violation as violation:
            (silent if violation.silent else unclear).append(str(violation))
        except (NotApplicableError, HypothesisException):
            raise
        except Exception as refusal:
            refusals.append(refusal)
    if silent or unclear:
        raise Violation("; ".join(silent or unclear), silent=bool(silent))
    if refusals:
        raise refusals[0]


@dataclass(frozen=True, kw_only=True)
class Law:
    """One law. Its identity is its name; its number is its position in `LAWS`.

    Attributes:
        name: kebab-case.
        group: the heading under which the page lists it.
        judge: raises `Violation` if the loss of a trial breaks the law.
        trait: what a loss must declare for the law to apply; None for laws of every loss.
        excused: a trait that permits breaking the law.
        unless: returns why the law has nothing to judge in a configuration, or None.
        reads: which input a loss must read for the law to apply.
        searched: whether hypothesis searches for a violation; otherwise one fixed batch is judged.
        share: fraction of the examples of a search, for slow laws.
        off_kinks: minimal relative distance of a batch from kinks of a piecewise loss; None judges kinks, too.
        fresh_only: whether a started state would add nothing.
        compares: whether the law compares values of different batches or precisions; a random loss is excused.
        kind: how grave a silent violation is, if it is not a wrong result.
        compiles: whether the law compiles the loss, which takes long.
        needs_processes: whether the law runs the loss in two processes.
    """

    name: str
    group: Group
    judge: Callable[[Trial], None]
    trait: Trait | None = None
    excused: Trait | None = None
    unless: Unless | None = None
    reads: Reads | None = None
    searched: bool = True
    share: float = 1.0
    off_kinks: float | None = None
    fresh_only: bool = False
    compares: bool = False
    kind: Kind | None = None
    compiles: bool = False
    needs_processes: bool = False

    @property
    def number(self) -> int:
        """Position in `LAWS`, from 1."""
        return [each.name for each in LAWS].index(self.name) + 1

    @property
    def statement(self) -> str:
        """What the law requires."""
        return self._paragraphs()[0]

    @property
    def remedy(self) -> str:
        """How to mend a violation."""
        return next((p.removeprefix("Remedy: ") for p in self._paragraphs() if p.startswith("Remedy: ")), "")

    def _paragraphs(self) -> list[str]:
        text = inspect.cleandoc(self.judge.__doc__ or "")
        return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


LAWS: list[Law] = []
"""All laws, by group and within a group in the order in which its module states them."""


def law(
    group: Group,
    *,
    trait: Trait | None = None,
    excused: Trait | None = None,
    unless: Unless | None = None,
    reads: Reads | None = None,
    searched: bool = True,
    share: float = 1.0,
    off_kinks: float | None = None,
    fresh_only: bool = False,
    compares: bool | None = None,
    kind: Kind | None = None,
    compiles: bool = False,
    needs_processes: bool = False,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Add a function to `LAWS`, at the end of its group, under its own name in kebab-case."""

    def add(judge: Callable[[Trial], None]) -> Callable[[Trial], None]:
        added = Law(
            name=judge.__name__.replace("_", "-"),
            group=group,
            judge=judge,
            trait=trait,
            excused=excused,
            unless=unless,
            reads=reads,
            searched=searched,
            share=share,
            off_kinks=off_kinks,
            fresh_only=fresh_only,
            compares=group in _COMPARE if compares is None else compares,
            kind=kind,
            compiles=compiles,
            needs_processes=needs_processes,
        )
        up_to_group = GROUPS[: GROUPS.index(group) + 1]
        LAWS.insert(sum(each.group in up_to_group for each in LAWS), added)
        return judge

    return add


def find_laws(name: str) -> list[Law]:
    """Return the laws of a group, or a law by its name or number.

    Raises:
        UsageError: there is no such law or group.

    Example:
        >>> [law.name for law in find_laws("calculus")][:2]
        ['gradient-of-inputs', 'gradient-of-state']
    """
    of_group = [each for each in LAWS if each.group.lower() == name.lower().replace("-", " ")]
    return of_group or [find_law(name)]


def find_law(name: str) -> Law:
    """Return a law by its name or number.

    Raises:
        UsageError: there is no such law.

    Example:
        >>> find_law("not-negative").group
        'Meaning'
    """
    for number, each in enumerate(LAWS, start=1):
        if name in (each.name, str(number)):
            return each
    known = [*(each.name for each in LAWS), *GROUPS]
    raise UsageError(f"there is no law {name!r}. {did_you_mean(name, known)}")
