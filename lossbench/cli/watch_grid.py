"""Progress of a grid on stderr: one live table on a terminal, otherwise one line per finished cell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from ..report.tables.table import Table
from ..report.terminal.table import TerminalTable
from ..runs.cells import BUSY, DIVERGED, DONE, FAILED, Cell
from .terminal import Console

_MARKS = {DONE: ("done", "green"), FAILED: ("failed", "red"), DIVERGED: ("diverged", "red"), BUSY: ("elsewhere", "dim")}
_MOST_SEEDS, _FEW_SEEDS = 12, 4  # columns on a wide and on a narrow screen


class GridWatch:
    """Shows the cells of a grid. Call it with each event.

    Args:
        title: what is being run.
        cells: all of them.
    """

    def __init__(self, title: str, cells: Sequence[Cell]) -> None:
        self.console = Console(stderr=True)
        self.title, self.cells = title, cells
        self.states = dict.fromkeys((cell.name for cell in cells), "·")
        self.began = time.monotonic()
        self.run_here = self.ended = 0
        self.draws = self.console.is_terminal  # asked once: a terminal may vanish
        self.live = Live(self, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.draws:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.draws:
            self.live.stop()

    def __call__(self, cell: Cell, event: dict[str, Any]) -> None:
        label = f"{cell.entrant}, {cell.config.sampler}, {_named(cell)}"
        if event["event"] == "epoch":
            self.run_here += event["epoch"] == 0
            self.states[cell.name] = f"{event['epoch']}/{event['epochs']}"
        elif event["event"] == "warning":
            self.console.print(Text(f"{label}: {event['text']}", style="yellow"), soft_wrap=True)
        elif event["event"] == "end":
            mark, _ = _MARKS[event["status"]]
            self.states[cell.name] = mark
            if event["status"] == BUSY:
                return
            self.ended += 1
            if event["message"]:
                self.console.print(Text(f"{label} {mark}: {event['message']}", style="red"), soft_wrap=True)
            elif not self.draws:
                self.console.print(Text(f"{self.ended}/{len(self.cells)}  {label} {mark}"), soft_wrap=True)

    def __rich__(self) -> Group:
        seeds = list(dict.fromkeys(map(_named, self.cells)))[:_MOST_SEEDS]
        states: dict[tuple[str, str], dict[str, str]] = {}
        for cell in self.cells:
            states.setdefault((cell.entrant, cell.config.sampler), {})[_named(cell)] = self.states[cell.name]
        columns = ("loss", "sampler", *seeds)
        rows = tuple((*names, *(found.get(seed, "") for seed in seeds)) for names, found in states.items())
        table = TerminalTable(
            Table("cells", self.title, columns, rows, wide=frozenset(columns[2 + _FEW_SEEDS :]), names=2),
            dict(_MARKS.values()),
        )
        return Group(table, Text(self._progress(), style="dim"))

    def _progress(self) -> str:
        seconds = time.monotonic() - self.began
        text = f"{self.ended} of {len(self.cells)} cells, {seconds / 60:.0f} min"
        left = len(self.cells) - self.ended
        if self.run_here > 1 and left:
            text += f", about {seconds / self.run_here * left / 60:.0f} min left"
        return text


def _named(cell: Cell) -> str:
    """Return seed and fold of a cell."""
    return f"seed {cell.config.seed}" + (f", fold {cell.config.fold}" if cell.config.fold else "")
