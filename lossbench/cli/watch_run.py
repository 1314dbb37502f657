"""Show the progress of a run on stderr: a live bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ..announce import Announcement, announced
from ..report.terminal.shorten import significant
from ..runs.history import HistoryRow
from .terminal import Console

LOADING = "loading torch"


class RichReporter:
    """Shows the progress of a run. Of several processes, only the first prints."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")
        self.progress = _bar(self.console, "steps")
        self.epochs = 0
        self.draws = self.console.is_terminal  # asked once: a terminal may vanish

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.draws:  # elsewhere it would print an empty line
            self.progress.stop()

    def message(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def warning(self, text: str) -> None:
        self.console.print(Text("warning: ", style="yellow") + Text(text), soft_wrap=True)

    def begin(self, epochs: int, steps: int) -> None:
        self.epochs = epochs
        if self.draws:
            self.task = self.progress.add_task("training", total=steps)
            self.progress.start()

    def step(self, epoch: int) -> None:
        if self.draws:
            self.progress.update(self.task, advance=1, description=f"epoch {epoch + 1}/{self.epochs}")

    def epoch(self, row: HistoryRow) -> None:
        parts = [f"epoch {row.epoch + 1:>3}/{self.epochs}", f"loss {row.loss:.4f}"]
        for name, ratio in row.gradient_ratio.items():
            parts.append(f"{name}: value {significant(row.terms[name])}, gradient ratio {significant(ratio)}")
        if (score := row.selection_balanced_accuracy) is not None:
            parts.append(f"selection balanced accuracy {score:.3f}")
        parts.append(f"{row.images_per_second or 0:.0f} images/s")
        self.console.print(Text("  ".join(parts)), soft_wrap=True)


def _bar(console: Console, unit: str) -> Progress:
    return Progress(
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on a terminal, elsewhere a line now and again.

    Yields a function of the done and the total number, which is None if it is not known.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Announcement(lambda text: console.print(Text(text), soft_wrap=True), what)
        return
    with _bar(console, "") as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr what is done inside the context: at once on a terminal, elsewhere if it takes a few seconds."""
    console = Console(stderr=True)
    with (
        console.status(Text(what), spinner="line")
        if console.is_terminal
        else announced(lambda text: console.print(Text(text), soft_wrap=True), what)
    ):
        yield
