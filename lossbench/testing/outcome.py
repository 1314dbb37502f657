"""What a search for a violation of one law found."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis.errors import Unsatisfiable

from ..errors import brief
from .blame import cause, place_in_kit, place_in_loss
from .configuration import Configuration
from .effort import Effort
from .law import Law
from .results import Status
from .search import Search
from .violation import Kind, NotApplicableError, Violation


@dataclass
class Outcome:
    status: Status
    message: str = ""
    counterexample: str | None = None
    silent: bool = False
    kind: Kind | None = None
    cause: str | None = None
    kit_failed: bool = False
    examples: int = 0


def search_violation(
    configuration: Configuration, law: Law, effort: Effort, failed: frozenset[str] = frozenset(), *, shrink: bool = True
) -> Outcome:
    search = Search(configuration, law, effort, shrink=shrink, failed=failed)
    try:
        search.run()
    except NotApplicableError as reason:
        return Outcome("skipped", str(reason), examples=search.judged)
    except Unsatisfiable:
        search.judged = 0
    if search.error is not None:
        return _broken(configuration, law, search)
    if search.excuses:
        return Outcome("skipped", "; ".join(search.excuses), examples=search.judged)
    if not search.judged:
        return Outcome("skipped", "every batch that was tried lies on a kink of the loss")
    return Outcome("passed", examples=search.judged)


def _broken(configuration: Configuration, law: Law, search: Search) -> Outcome:
    counterexample = search.case.describe(configuration.reads) if search.case and law.searched else None
    error = search.error
    assert error is not None
    if isinstance(error, Violation):
        kind = law.kind if law.kind is not None and error.silent else error.kind
        return Outcome("failed", str(error), counterexample, error.silent, kind, examples=search.judged)
    if place := place_in_kit(error):
        message = f"the kit failed in {place} with {brief(error)}; please report this"
        return Outcome("skipped", message, counterexample, kit_failed=True, examples=search.judged)
    where = place_in_loss(error)
    message = f"it refuses the law's input with {brief(error)}" + (f" ({where})" if where else "")
    return Outcome("failed", message, counterexample, False, "unclear refusal", cause(error), examples=search.judged)
