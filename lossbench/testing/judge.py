"""Judging a loss by the laws."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import hypothesis
import torch
from hypothesis import HealthCheck, Phase
from hypothesis.errors import HypothesisException, Unsatisfiable

from ..traits import Trait
from . import laws as _laws  # noqa: F401  # importing them fills LAWS
from .cases import Case, cases, fixed_case
from .configuration import Configuration, is_stateful
from .law import LAWS, Law
from .trial import Trial
from .violation import NotApplicableError, Violation

Status = Literal["passed", "failed", "skipped", "xfailed"]

NORMAL_EXAMPLES, DEEP_EXAMPLES = 25, 10_000
_SHRINKING_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard to look for a violation.

    Attributes:
        examples: batches a law; a law that takes long gets a share of them.
        seed: of the search.
        deep: look for counterexamples of traits that are not declared, and generate code when compiling.
        compile: whether to judge the law that compiles.
    """

    examples: int = NORMAL_EXAMPLES
    seed: int = 0
    deep: bool = False
    compile: bool = True


@dataclass(frozen=True, kw_only=True)
class Result:
    """One law on one configuration of a loss.

    Attributes:
        loss: the configuration.
        number, law: of the law.
        status: passed, failed, skipped or xfailed.
        message: why it failed or was skipped.
        counterexample: the smallest batch found that breaks the law, as text.
        silent: of a failure, whether the loss went on with a wrong result.
        examples: batches that were judged.
        seconds: the law took.
    """

    loss: str
    number: int
    law: str
    status: Status
    message: str = ""
    counterexample: str | None = None
    silent: bool = False
    examples: int = 0
    seconds: float = 0.0


def judge_all(
    configurations: Iterable[Configuration], effort: Effort | None = None, laws: Iterable[Law] | None = None
) -> Iterator[Result]:
    """Results of every law on every configuration, as they come.

    Args:
        configurations: configurations of losses.
        effort: how hard to look.
        laws: these only.
    """
    chosen = list(LAWS if laws is None else laws)
    for configuration in configurations:
        for each in chosen:
            yield judge(configuration, each, effort)


def judge(configuration: Configuration, law: Law, effort: Effort | None = None) -> Result:
    """One law on one configuration. A loss's own failures become results, whatever they are.

    Example:
        >>> from lossbench import loss_info
        >>> from lossbench.testing import find_law, judge
        >>> judge(Configuration(spec=loss_info("softmax")), find_law("not-negative")).status
        'passed'
    """
    effort = effort or Effort()
    began = time.perf_counter()
    generator = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a loss's warnings are not the kit's
        found = _outcome(configuration, law, effort)
    torch.set_rng_state(generator)
    return Result(
        loss=str(configuration), number=law.number, law=law.name, seconds=time.perf_counter() - began, **vars(found)
    )


@dataclass
class _Outcome:
    status: Status
    message: str = ""
    counterexample: str | None = None
    silent: bool = False
    examples: int = 0


def _outcome(configuration: Configuration, law: Law, effort: Effort) -> _Outcome:
    declared = law.trait is not None and configuration.declares(law.trait)
    if reason := reason_to_skip(configuration, law, effort):
        return _Outcome("skipped", reason)
    if law.excused is not None and configuration.declares(law.excused):
        return _excused(configuration, law, law.excused, effort)
    if law.trait is None or declared:
        return _judged(configuration, law, effort, must_accept=law.owed or declared)
    return _stale(configuration, law, effort)


def reason_to_skip(configuration: Configuration, law: Law, effort: Effort) -> str | None:
    """Return why a law does not apply to a configuration, or None if it does; nothing is judged.

    Example:
        >>> from lossbench import loss_info
        >>> from lossbench.testing import find_law
        >>> reason_to_skip(Configuration(spec=loss_info("softmax")), find_law("rotation"), Effort())
        'it reads no embeddings'
    """
    if law.reads is not None and law.reads not in configuration.reads:
        return f"it reads no {law.reads}"
    if law.compiles and not effort.compile:
        return "compiling was left out"
    if law.fresh_only and configuration.started:
        return "judged on the fresh loss"
    if law.trait is not None and not configuration.declares(law.trait):
        return _excluded_by_trait(configuration, law.trait, effort)
    if law.excused is not None and configuration.declares(law.excused) and not effort.deep:
        return f"declared {law.excused}"
    return law.unless(configuration) if law.unless is not None else None


def _excluded_by_trait(configuration: Configuration, trait: Trait, effort: Effort) -> str | None:
    if configuration.undeclared_is_unknown:
        return f"not known to be {trait}: declare it to have it judged"
    if not effort.deep or (is_stateful(configuration.specimen) and not configuration.started):
        return f"not declared {trait}"
    return None


def _excused(configuration: Configuration, law: Law, trait: Trait, effort: Effort) -> _Outcome:
    """Require that a trait that excuses from laws is the reason why one of them is broken."""
    found = _judged(configuration, law, effort, must_accept=True, shrink=False)
    if found.status == "passed" and not _broken_among(configuration, effort, law, lambda each: each.excused is trait):
        message = f"stale: holds in {found.examples} batches; do not declare the trait {trait}"
        return _Outcome("failed", message, examples=found.examples)
    return _Outcome("skipped", f"declared {trait}, rightly", examples=found.examples)


def _broken_among(configuration: Configuration, effort: Effort, but: Law, chosen: Callable[[Law], bool]) -> Law | None:
    """The first of the chosen laws, other than `but`, that the loss breaks."""
    others = (law for law in LAWS if law is not but and chosen(law) and law.reads in (None, *configuration.reads))
    applicable = (law for law in others if law.unless is None or law.unless(configuration) is None)
    judged = ((law, _judged(configuration, law, effort, must_accept=True, shrink=False)) for law in applicable)
    return next((law for law, outcome in judged if outcome.status == "failed"), None)


def _stale(configuration: Configuration, law: Law, effort: Effort) -> _Outcome:
    """Require a counterexample to one of the laws of a trait that is not declared."""
    found = _judged(configuration, law, effort, must_accept=True, shrink=False)
    if found.status == "passed":
        if broken := _broken_among(configuration, effort, law, lambda each: each.trait is law.trait):
            reason = f"not declared {law.trait}, rightly: it breaks {broken.name}"
            return _Outcome("skipped", reason, examples=found.examples)
        message = f"stale: no counterexample in {found.examples} batches; declare the trait {law.trait}"
        return _Outcome("failed", message, examples=found.examples)
    reason = f"not declared {law.trait}, rightly: {found.message}" if found.status == "failed" else found.message
    return _Outcome("skipped", reason, examples=found.examples)


def _judged(
    configuration: Configuration, law: Law, effort: Effort, *, must_accept: bool, shrink: bool = True
) -> _Outcome:
    search = _Search(configuration, law, effort, shrink=shrink)
    try:
        search.run()
    except NotApplicableError as reason:
        return _Outcome("skipped", str(reason), examples=search.judged)
    except Unsatisfiable:
        search.judged = 0
    if search.error is not None:
        return _broken(configuration, law, search, must_accept)
    if not search.judged:
        return _Outcome("skipped", "every batch that was tried lies on a kink of the loss")
    return _Outcome("passed", examples=search.judged)


def _broken(configuration: Configuration, law: Law, search: _Search, must_accept: bool) -> _Outcome:
    counterexample = search.case.describe(configuration.reads) if search.case and law.searched else None
    if isinstance(search.error, Violation):
        return _Outcome("failed", str(search.error), counterexample, search.error.silent, search.judged)
    lines = str(search.error).strip().splitlines() or [""]
    message = f"it refuses the law's input with {type(search.error).__name__}: {lines[0][:200]}"
    if must_accept:
        return _Outcome("failed", message, counterexample, False, search.judged)
    return _Outcome("skipped", message, examples=search.judged)


class _Search:
    """Searches for a batch that breaks a law, and keeps the smallest that it finds, or the first without `shrink`."""

    def __init__(self, configuration: Configuration, law: Law, effort: Effort, *, shrink: bool) -> None:
        self.configuration, self.law, self.effort, self.shrink = configuration, law, effort, shrink
        self.case: Case | None = None
        self.error: Exception | None = None
        self.judged = 0
        self.give_up = float("inf")
        self.only_silent = law.searched
        self.passed_over = False

    def run(self) -> None:
        """Looks for a silent violation first: that a loss refuses some batches must not hide what it does on others."""
        self._run()
        if self.error is None and self.passed_over:
            self.only_silent, self.judged = False, 0
            self._run()

    def _run(self) -> None:
        if not self.law.searched:
            self._try(fixed_case())
            return
        examples = max(3, round(self.effort.examples * self.law.share))
        settings = hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink) if self.shrink else (Phase.generate,),
            verbosity=hypothesis.Verbosity.quiet,
            print_blob=False,
        )
        search: Callable[[], None] = hypothesis.seed(self.effort.seed)(
            settings(hypothesis.given(cases())(self._raising))
        )
        try:
            search()
        except (Unsatisfiable, NotApplicableError):
            raise
        except Exception:
            if self.error is None:
                raise

    def _raising(self, case: Case) -> None:
        # After some seconds only the smallest batch yet still fails, so that shrinking ends.
        if time.monotonic() > self.give_up and case != self.case:
            return
        self._try(case)
        if self.error is not None and self.case == case:
            raise self.error

    def _try(self, case: Case) -> None:
        trial = Trial(self.configuration, case, deep=self.effort.deep)
        try:
            if self.law.off_kinks is not None and trial.lies_on_kink(self.law.off_kinks):
                if not self.law.searched:
                    raise NotApplicableError("the batch lies on a kink of the loss")
                hypothesis.reject()
            self.law.judge(trial)
        except (NotApplicableError, HypothesisException, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as raised:
            error = raised if isinstance(raised, Exception) else RuntimeError(f"sys.exit({raised})")
            self.judged += 1
            if self.only_silent and not (isinstance(error, Violation) and error.silent):
                self.passed_over = True
                return
            if self.error is None:
                self.give_up = time.monotonic() + _SHRINKING_SECONDS
            self.case, self.error = case, error
        else:
            self.judged += 1
