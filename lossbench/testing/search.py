"""The search for a batch that breaks a law."""

from __future__ import annotations

import time
from collections.abc import Callable

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException, Unsatisfiable

from .cases import Case, cases, fixed_case
from .configuration import Configuration
from .effort import Effort
from .excuses import lies_on_kink
from .law import Law
from .trial import Trial
from .violation import NotApplicableError, Violation

_SHRINKING_SECONDS = 3.0


class Search:
    """A search for a batch that breaks a law; keeps the smallest that it finds, or the first without `shrink`.

    Attributes:
        case: the batch that breaks the law.
        error: what was raised for it.
        judged: number of batches that were judged.
        excuses: why violations on some batches do not count.
    """

    def __init__(
        self, configuration: Configuration, law: Law, effort: Effort, *, shrink: bool, failed: frozenset[str]
    ) -> None:
        self.configuration, self.law, self.effort, self.shrink = configuration, law, effort, shrink
        self.failed = failed
        self.case: Case | None = None
        self.error: Exception | None = None
        self.judged = 0
        self.excuses: list[str] = []
        self._give_up = float("inf")
        self._only_silent = law.searched
        self._passed_over = False

    def run(self) -> None:
        """Search for silent violations first: a refusal of some batches must not hide a wrong result on others."""
        self._run()
        if self.error is None and self._passed_over:
            self._only_silent, self.judged = False, 0
            self._run()

    def _run(self) -> None:
        if not self.law.searched:
            self._try(fixed_case())
            return
        settings = hypothesis.settings(
            max_examples=max(3, round(self.effort.examples * self.law.share)),
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink) if self.shrink else (Phase.generate,),
            verbosity=hypothesis.Verbosity.quiet,
            print_blob=False,
        )
        search: Callable[[], None] = hypothesis.seed(self.effort.seed)(
            settings(hypothesis.given(self._batches())(self._raising))
        )
        try:
            search()
        except (Unsatisfiable, NotApplicableError):
            raise
        except Exception:
            if self.error is None:
                raise

    def _batches(self) -> st.SearchStrategy[Case]:
        """Return small batches in the sizes that the loss takes; a deep search draws some larger ones, too."""
        fewest = self.configuration.fewest_rows
        small = cases(min_batch=fewest, sizes=self.configuration.sizes)
        if not self.effort.deep:
            return small
        return st.one_of(small, cases(min_batch=fewest, max_batch=40, sizes=self.configuration.larger_sizes))

    def _raising(self, case: Case) -> None:
        # After some seconds only the smallest batch yet still fails, so that shrinking ends.
        if time.monotonic() > self._give_up and case != self.case:
            return
        self._try(case)
        if self.error is not None and self.case == case:
            raise self.error

    def _try(self, case: Case) -> None:
        trial = Trial(self.configuration, case, deep=self.effort.deep, failed=self.failed)
        try:
            if self.law.off_kinks is not None and lies_on_kink(trial, self.law.off_kinks):
                if not self.law.searched:
                    raise NotApplicableError("the batch lies on a kink of the loss")
                hypothesis.reject()
            self.law.judge(trial)
        except (NotApplicableError, HypothesisException, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as raised:
            error = raised if isinstance(raised, Exception) else RuntimeError(f"sys.exit({raised})")
            self.judged += 1
            if self._only_silent and not (isinstance(error, Violation) and error.silent):
                self._passed_over = True
                return
            if self.error is None:
                self._give_up = time.monotonic() + _SHRINKING_SECONDS
            self.case, self.error = case, error
        else:
            self.judged += 1
        finally:
            self.excuses += [excuse for excuse in trial.excuses if excuse not in self.excuses]
