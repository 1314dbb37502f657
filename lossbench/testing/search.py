"""The search for a batch that breaks a law."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import hypothesis
from hypothesis import Phase
from hypothesis.errors import HypothesisException, Unsatisfiable, UnsatisfiedAssumption

from .batches import drawn, settings, strategy
from .cases import Case, fixed_case
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
        number = max(3, round(self.effort.examples * self.law.share))
        if self._holds(number) or (self.error is not None and not self.shrink):
            return
        # hypothesis searches again, for a small batch.
        known, self.case, self.error, self.judged = (self.case, self.error), None, None, 0
        self._give_up = float("inf")
        phases = (Phase.generate, Phase.shrink) if self.shrink else (Phase.generate,)
        search: Callable[[], None] = hypothesis.seed(self.effort.seed)(
            settings(number, *phases)(hypothesis.given(strategy(*self._batches))(self._raising))
        )
        try:
            search()
        except (Unsatisfiable, NotApplicableError):
            raise
        except Exception:
            if self.error is None and known[1] is None:
                raise
        if self.error is None:
            self.case, self.error = known

    def _holds(self, number: int) -> bool:
        """Judge batches that are drawn once for all laws; return whether the law holds on `number` of them."""
        for case in drawn(self.effort.seed, max(3, self.effort.examples), *self._batches):
            with contextlib.suppress(UnsatisfiedAssumption):
                self._try(case)
            if self.error is not None or self.judged == number:
                break
        return self.error is None and self.judged == number

    @property
    def _batches(self) -> tuple[int, tuple[tuple[int, int], ...], tuple[tuple[int, int], ...] | None]:
        """Small batches in the sizes that the loss takes; a deep search draws some larger ones, too."""
        larger = self.configuration.larger_sizes if self.effort.deep else None
        return self.configuration.fewest_rows, self.configuration.sizes, larger

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
