"""Receivers of a run's progress."""

from __future__ import annotations

from typing import Protocol

from ..errors import LossbenchError
from ..runs.history import HistoryRow


class Reporter(Protocol):
    """Receives the progress of a run; the command line displays it."""

    def message(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def begin(self, epochs: int, steps: int) -> None: ...

    def step(self, epoch: int) -> None: ...

    def epoch(self, row: HistoryRow) -> None: ...


class SilentReporter:
    """A reporter that prints nothing."""

    def message(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        pass

    def begin(self, epochs: int, steps: int) -> None:
        pass

    def step(self, epoch: int) -> None:
        pass

    def epoch(self, row: HistoryRow) -> None:
        pass


class SteadyReporter:
    """A reporter that passes everything on until that fails for the first time, and is silent from then on.

    A terminal that vanished or a full disk behind a log must not end a run.

    Args:
        reporter: what receives the progress; None for nothing.
    """

    def __init__(self, reporter: Reporter | None) -> None:
        self._reporter: Reporter = reporter or SilentReporter()

    def message(self, text: str) -> None:
        self._pass_on("message", text)

    def warning(self, text: str) -> None:
        self._pass_on("warning", text)

    def begin(self, epochs: int, steps: int) -> None:
        self._pass_on("begin", epochs, steps)

    def step(self, epoch: int) -> None:
        self._pass_on("step", epoch)

    def epoch(self, row: HistoryRow) -> None:
        self._pass_on("epoch", row)

    def _pass_on(self, method: str, *arguments: object) -> None:
        try:
            getattr(self._reporter, method)(*arguments)
        except LossbenchError:
            raise  # some are a ValueError; none is a failure to print
        except (OSError, ValueError):  # ValueError: a closed file, or a character that an encoding lacks
            self._reporter = SilentReporter()
