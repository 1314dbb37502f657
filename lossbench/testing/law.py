"""What a law is: one function whose docstring is its statement, and when it applies.

The first paragraph of the docstring states the law; a paragraph that begins with "Remedy:" says what to do about a
violation. A law raises `Violation`; it returns when the loss obeys.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hypothesis.errors import HypothesisException

from ..errors import UsageError, did_you_mean
from ..traits import Trait
from .trial import Trial
from .violation import NotApplicableError, Violation

Reads = Literal["logits", "embeddings"]


def judge_parts(parts: Iterable[Callable[[], None]]) -> None:
    """Judges all parts of a law, so that a refusal of one part does not hide what another does silently.

    Raises:
        Violation: of the silent violations together if there are any, else of the unclear refusals.
        Exception: else what the first part raised that refused its input.
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


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes:
        number: its place in the list of laws.
        name: kebab-case.
        group: the heading under which it stands.
        judge: raises `Violation` where the loss of a trial breaks it.
        trait: what a loss must declare for the law to apply; None for laws of every loss.
        excused: what a loss declares that breaks the law on purpose.
        reads: which input a loss must read for the law to apply.
        owed: whether refusing the law's input with an exception breaks it too.
        searched: whether hypothesis looks for a violation; else one fixed batch is judged.
        share: of the examples of a search, for laws that take long.
        off_kinks: how far, relative, a batch must lie from any kink of a piecewise loss; None judges kinks too.
        fresh_only: whether a started state would add nothing.
    """

    number: int
    name: str
    group: str
    judge: Callable[[Trial], None]
    trait: Trait | None = None
    reads: Reads | None = None
    owed: bool = False
    searched: bool = True
    share: float = 1.0
    off_kinks: float | None = None
    fresh_only: bool = False
    excused: Trait | None = None

    @property
    def statement(self) -> str:
        """What the law says."""
        return self._paragraphs()[0]

    @property
    def remedy(self) -> str:
        """What to do about a violation."""
        return next((p.removeprefix("Remedy: ") for p in self._paragraphs() if p.startswith("Remedy: ")), "")

    def _paragraphs(self) -> list[str]:
        text = inspect.cleandoc(self.judge.__doc__ or "")
        return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


LAWS: list[Law] = []
"""All laws, in the order of their numbers."""


def law(
    number: int,
    group: str,
    *,
    trait: Trait | None = None,
    reads: Reads | None = None,
    owed: bool = False,
    searched: bool = True,
    share: float = 1.0,
    off_kinks: float | None = None,
    fresh_only: bool = False,
    excused: Trait | None = None,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Adds a function to the laws, named after it."""

    def add(judge: Callable[[Trial], None]) -> Callable[[Trial], None]:
        name = judge.__name__.replace("_", "-")
        LAWS.append(
            Law(number, name, group, judge, trait, reads, owed, searched, share, off_kinks, fresh_only, excused)
        )
        LAWS.sort(key=lambda each: each.number)
        return judge

    return add


def find_law(name: str) -> Law:
    """A law by its name or number.

    Raises:
        UsageError: there is none.

    Example:
        >>> find_law("53").name
        'label-out-of-range'
    """
    for each in LAWS:
        if name in (each.name, str(each.number)):
            return each
    raise UsageError(f"there is no law {name!r}. {did_you_mean(name, [each.name for each in LAWS])}")
