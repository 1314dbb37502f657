"""Receivers of a run's progress."""

from __future__ import annotations

from typing import Protocol

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
