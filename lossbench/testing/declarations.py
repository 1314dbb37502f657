"""Whether a loss declares the traits that hold: no trait that excuses nothing, and none left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..traits import Trait
from .configuration import Configuration, is_scheduled
from .effort import Effort
from .law import LAWS, Law
from .outcome import Outcome, search_violation


def judge_excuse(configuration: Configuration, law: Law, trait: Trait, effort: Effort) -> Outcome:
    """Require that a trait that excuses from laws is the reason why one of them is broken."""
    found = search_violation(configuration, law, effort, shrink=False)
    if found.status == "passed" and not _broken_among(configuration, effort, law, lambda each: each.excused is trait):
        message = f"stale: holds in {found.examples} batches; do not declare the trait {trait}"
        return Outcome("failed", message, kind="wrong result", examples=found.examples)
    return Outcome("skipped", f"declared {trait}, rightly", examples=found.examples)


def _broken_among(
    configuration: Configuration, effort: Effort, but: Law | None, chosen: Callable[[Law], bool]
) -> Law | None:
    """Return the first of the chosen laws, other than `but`, that the loss breaks."""
    others = (law for law in LAWS if law is not but and chosen(law) and law.reads in (None, *configuration.reads))
    applicable = (law for law in others if law.unless is None or law.unless(configuration) is None)
    judged = ((law, search_violation(configuration, law, effort, shrink=False)) for law in applicable)
    return next((law for law, outcome in judged if outcome.status == "failed"), None)


def _broken_in_another_epoch(configuration: Configuration, trait: Trait | None, effort: Effort) -> str | None:
    """Return what a scheduled loss breaks at the other end of its schedule, if it does not declare the trait there."""
    other = replace(configuration, late=not configuration.late)
    if trait is None or not is_scheduled(configuration.specimen) or other.declares(trait):
        return None
    broken = _broken_among(other, effort, None, lambda each: each.trait is trait)
    return f"{other} breaks {broken.name}" if broken else None


def judge_undeclared(configuration: Configuration, law: Law, effort: Effort) -> Outcome:
    """Require a counterexample to one of the laws of a trait that is not declared."""
    found = search_violation(configuration, law, effort, shrink=False)
    if found.status == "passed":
        if broken := _broken_among(configuration, effort, law, lambda each: each.trait is law.trait):
            reason = f"not declared {law.trait}, rightly: it breaks {broken.name}"
            return Outcome("skipped", reason, examples=found.examples)
        if breaks := _broken_in_another_epoch(configuration, law.trait, effort):
            return Outcome("skipped", f"not declared {law.trait}, rightly: {breaks}", examples=found.examples)
        message = f"stale: no counterexample in {found.examples} batches; declare the trait {law.trait}"
        return Outcome("failed", message, kind="wrong result", examples=found.examples)
    reason = f"not declared {law.trait}, rightly: {found.message}" if found.status == "failed" else found.message
    return Outcome("skipped", reason, examples=found.examples)


def try_undeclared(configuration: Configuration, law: Law, effort: Effort) -> Outcome:
    """Try a law of a trait that a third-party loss may have: it condemns nothing, and says what was found."""
    found = search_violation(configuration, law, replace(effort, examples=min(effort.examples, 10)), shrink=False)
    if found.status == "passed":
        reason = f"not declared {law.trait}, but holds in {found.examples} batches: declare it to have it judged"
    elif found.status == "failed":
        reason = f"not declared {law.trait}, and does not hold"
    else:
        reason = found.message
    return Outcome("skipped", reason, examples=found.examples)


def traits_that_hold(configuration: Configuration, effort: Effort | None = None) -> list[Trait]:
    """Return the traits whose laws a loss obeys, declared or not; what compiles or needs two processes is left out.

    Example:
        >>> from lossbench import loss_info
        >>> found = traits_that_hold(Configuration(spec=loss_info("softmax")), Effort(examples=5))
        >>> Trait.CONVEX in found, Trait.PIECEWISE in found
        (True, False)
    """
    effort, found = effort or Effort(), []
    for trait in Trait:
        laws = [law for law in LAWS if law.trait is trait and not (law.compiles or law.needs_processes)]
        read = [law for law in laws if law.reads in (None, *configuration.reads)]
        applicable = [law for law in read if law.unless is None or law.unless(configuration) is None]
        statuses = {search_violation(configuration, law, effort, shrink=False).status for law in applicable}
        if statuses == {"passed"}:
            found.append(trait)
    return found
