"""Judging a loss by the laws."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from hypothesis.errors import Unsatisfiable

from ..traits import Trait
from . import laws as _laws  # noqa: F401  # importing them fills LAWS
from .applies import reason_to_skip
from .blame import cause, place_in_kit, place_in_loss
from .configuration import Configuration, is_scheduled
from .effort import DEEP_EXAMPLES, NORMAL_EXAMPLES, Effort
from .law import LAWS, Law
from .probe import first_line
from .search import Search
from .violation import Kind, NotApplicableError, Violation

__all__ = [
    "DEEP_EXAMPLES",
    "NORMAL_EXAMPLES",
    "Effort",
    "Result",
    "judge",
    "judge_all",
    "reason_to_skip",
    "traits_that_hold",
]

Status = Literal["passed", "failed", "skipped", "xfailed"]
CAN_BE_JUDGED = "can-be-judged"
"""The law in the row of a loss that cannot be loaded or built; it stands for all laws."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One law on one configuration of a loss.

    Attributes:
        loss: the configuration.
        number, law, group: of the law.
        status: passed, failed, skipped or xfailed.
        message: why it failed or was skipped.
        counterexample: the smallest batch found that breaks the law, as text.
        silent: for a failure, whether the loss went on with a wrong result.
        kind: for a failure, how grave it is.
        cause: for a failure by an exception, what identifies it.
        kit_failed: whether the kit itself failed, so that the law was not judged.
        examples: number of batches that were judged.
        seconds: duration.
    """

    loss: str
    number: int
    law: str
    group: str
    status: Status
    message: str = ""
    counterexample: str | None = None
    silent: bool = False
    kind: Kind | None = None
    cause: str | None = None
    kit_failed: bool = False
    examples: int = 0
    seconds: float = 0.0


def judge_all(
    configurations: Iterable[Configuration], effort: Effort | None = None, laws: Iterable[Law] | None = None
) -> Iterator[Result]:
    """Yield the results of every law on every configuration, as they come.

    A loss's exception with one cause is one finding: the first law that meets it fails, the others are skipped.
    A law in `LossSpec.expected_failures` is xfailed where it fails, and fails if it holds in every configuration.

    Args:
        configurations: configurations of losses.
        effort: how hard to search.
        laws: judge only these.
    """
    chosen = list(LAWS if laws is None else laws)
    judged = list(configurations)
    causes: dict[tuple[int, str], str] = {}
    for configuration in judged:
        expected = configuration.spec.expected_failures
        failed: set[str] = set()
        for each in chosen:
            result = judge(configuration, each, effort, frozenset(failed))
            failed |= {each.name} if result.status == "failed" else set()
            if result.cause is not None:
                first = causes.setdefault((id(configuration.spec), result.cause), each.name)
                if first != each.name and each.name not in expected:
                    reason = f"the refusal that `{first}` reports: {result.message}"
                    result = replace(result, status="skipped", message=reason, kind=None, silent=False)
            if each.name in expected:
                others = [c for c in judged if c.spec is configuration.spec and c is not configuration]
                result = expect(result, expected[each.name], lambda o=others, e=each: fails_in(o, e, effort))  # type: ignore[misc]
            yield result


def fails_in(configurations: Sequence[Configuration], law: Law, effort: Effort | None) -> bool:
    """Return whether a law fails in one of some configurations."""
    return any(judge(configuration, law, effort).status == "failed" for configuration in configurations)


def expect(result: Result, reason: str | None, fails_elsewhere: Callable[[], bool] = lambda: False) -> Result:
    """Return the result of a law that is known to be broken for a reason.

    Args:
        result: of the law.
        reason: why the loss is known to break it; None if it is not.
        fails_elsewhere: whether the law fails in another configuration of the loss. An expected failure that does not
            happen in any configuration is a failure.
    """
    if reason is None or result.status == "skipped":
        return result
    if result.status == "failed":
        return replace(result, status="xfailed", message=f"{reason} ({result.message})")
    if result.status == "passed" and fails_elsewhere():
        return result
    return replace(
        result, status="failed", kind="wrong result",
        message=f"expected to fail ({reason}), but holds: remove it from expected_failures",
    )  # fmt: skip


def judge(
    configuration: Configuration, law: Law, effort: Effort | None = None, failed: frozenset[str] = frozenset()
) -> Result:
    """Return the result of one law on one configuration. Whatever a loss raises becomes a result.

    Args:
        configuration: of the loss.
        law: the law.
        effort: how hard to search.
        failed: laws that it is known to break on ordinary batches; laws that judge others again leave them out.

    Example:
        >>> from lossbench import loss_info
        >>> from lossbench.testing import find_law, judge
        >>> judge(Configuration(spec=loss_info("softmax")), find_law("not-negative")).status
        'passed'
    """
    effort = effort or Effort()
    began = time.perf_counter()
    generator, gradients = torch.get_rng_state(), torch.is_grad_enabled()
    dtype = torch.get_default_dtype()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a loss's warnings are not the kit's
            found = _outcome(configuration, law, effort, failed)
    finally:
        torch.set_rng_state(generator)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
    return Result(
        loss=str(configuration),
        number=law.number,
        law=law.name,
        group=law.group,
        seconds=time.perf_counter() - began,
        **vars(found),
    )


@dataclass
class _Outcome:
    status: Status
    message: str = ""
    counterexample: str | None = None
    silent: bool = False
    kind: Kind | None = None
    cause: str | None = None
    kit_failed: bool = False
    examples: int = 0


def _outcome(configuration: Configuration, law: Law, effort: Effort, failed: frozenset[str]) -> _Outcome:
    if reason := reason_to_skip(configuration, law, effort):
        return _Outcome("skipped", reason)
    if law.excused is not None and configuration.declares(law.excused):
        return _excused(configuration, law, law.excused, effort)
    if law.trait is None or configuration.declares(law.trait):
        return _judged(configuration, law, effort, failed)
    if configuration.undeclared_is_unknown:
        return _tried(configuration, law, effort)
    return _stale(configuration, law, effort)


def _excused(configuration: Configuration, law: Law, trait: Trait, effort: Effort) -> _Outcome:
    """Require that a trait that excuses from laws is the reason why one of them is broken."""
    found = _judged(configuration, law, effort, shrink=False)
    if found.status == "passed" and not _broken_among(configuration, effort, law, lambda each: each.excused is trait):
        message = f"stale: holds in {found.examples} batches; do not declare the trait {trait}"
        return _Outcome("failed", message, kind="wrong result", examples=found.examples)
    return _Outcome("skipped", f"declared {trait}, rightly", examples=found.examples)


def _broken_among(
    configuration: Configuration, effort: Effort, but: Law | None, chosen: Callable[[Law], bool]
) -> Law | None:
    """Return the first of the chosen laws, other than `but`, that the loss breaks."""
    others = (law for law in LAWS if law is not but and chosen(law) and law.reads in (None, *configuration.reads))
    applicable = (law for law in others if law.unless is None or law.unless(configuration) is None)
    judged = ((law, _judged(configuration, law, effort, shrink=False)) for law in applicable)
    return next((law for law, outcome in judged if outcome.status == "failed"), None)


def _broken_in_another_epoch(configuration: Configuration, trait: Trait | None, effort: Effort) -> str | None:
    """Return what a scheduled loss breaks at the other end of its schedule, if it does not declare the trait there."""
    other = replace(configuration, late=not configuration.late)
    if trait is None or not is_scheduled(configuration.specimen) or other.declares(trait):
        return None
    broken = _broken_among(other, effort, None, lambda each: each.trait is trait)
    return f"{other} breaks {broken.name}" if broken else None


def _stale(configuration: Configuration, law: Law, effort: Effort) -> _Outcome:
    """Require a counterexample to one of the laws of a trait that is not declared."""
    found = _judged(configuration, law, effort, shrink=False)
    if found.status == "passed":
        if broken := _broken_among(configuration, effort, law, lambda each: each.trait is law.trait):
            reason = f"not declared {law.trait}, rightly: it breaks {broken.name}"
            return _Outcome("skipped", reason, examples=found.examples)
        if breaks := _broken_in_another_epoch(configuration, law.trait, effort):
            return _Outcome("skipped", f"not declared {law.trait}, rightly: {breaks}", examples=found.examples)
        message = f"stale: no counterexample in {found.examples} batches; declare the trait {law.trait}"
        return _Outcome("failed", message, kind="wrong result", examples=found.examples)
    reason = f"not declared {law.trait}, rightly: {found.message}" if found.status == "failed" else found.message
    return _Outcome("skipped", reason, examples=found.examples)


def _tried(configuration: Configuration, law: Law, effort: Effort) -> _Outcome:
    """Try a law of a trait that a third-party loss may have: it condemns nothing, and says what was found."""
    found = _judged(configuration, law, replace(effort, examples=min(effort.examples, 10)), shrink=False)
    if found.status == "passed":
        reason = f"not declared {law.trait}, but holds in {found.examples} batches: declare it to have it judged"
    elif found.status == "failed":
        reason = f"not declared {law.trait}, and does not hold"
    else:
        reason = found.message
    return _Outcome("skipped", reason, examples=found.examples)


def _judged(
    configuration: Configuration, law: Law, effort: Effort, failed: frozenset[str] = frozenset(), *, shrink: bool = True
) -> _Outcome:
    search = Search(configuration, law, effort, shrink=shrink, failed=failed)
    try:
        search.run()
    except NotApplicableError as reason:
        return _Outcome("skipped", str(reason), examples=search.judged)
    except Unsatisfiable:
        search.judged = 0
    if search.error is not None:
        return _broken(configuration, law, search)
    if search.excuses:
        return _Outcome("skipped", "; ".join(search.excuses), examples=search.judged)
    if not search.judged:
        return _Outcome("skipped", "every batch that was tried lies on a kink of the loss")
    return _Outcome("passed", examples=search.judged)


def _broken(configuration: Configuration, law: Law, search: Search) -> _Outcome:
    counterexample = search.case.describe(configuration.reads) if search.case and law.searched else None
    error = search.error
    assert error is not None
    if isinstance(error, Violation):
        kind = law.kind if law.kind is not None and error.silent else error.kind
        return _Outcome("failed", str(error), counterexample, error.silent, kind, examples=search.judged)
    if place := place_in_kit(error):
        message = f"the kit failed in {place} with {first_line(error)}; please report this"
        return _Outcome("skipped", message, counterexample, kit_failed=True, examples=search.judged)
    where = place_in_loss(error)
    message = f"it refuses the law's input with {first_line(error)}" + (f" ({where})" if where else "")
    return _Outcome("failed", message, counterexample, False, "unclear refusal", cause(error), examples=search.judged)


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
        statuses = {_judged(configuration, law, effort, shrink=False).status for law in applicable}
        if statuses == {"passed"}:
            found.append(trait)
    return found
