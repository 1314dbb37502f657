"""How a grid is watched: one live table on a terminal, a line a finished cell elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..runs.cells import BUSY, DIVERGED, DONE, FAILED, Cell

_MARKS = {DONE: ("done", "green"), FAILED: ("failed", "red"), DIVERGED: ("diverged", "red"), BUSY: ("elsewhere", "dim")}
_MOST_SEEDS = 12  # columns on one screen


class GridWatch:
    """Draws the cells of a grid; call it with each event.

    Args:
        title: what is being run.
        cells: all of them.
    """

    def __init__(self, title: str, cells: Sequence[Cell]) -> None:
        self.console = Console(stderr=True)
        self.title, self.cells = title, cells
        self.states = {cell.name: Text("·", style="dim") for cell in cells}
        self.began = time.monotonic()
        self.run_here = self.ended = 0
        self.live = Live(self, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def __call__(self, cell: Cell, event: dict[str, Any]) -> None:
        label = f"{cell.loss}, {cell.config.sampler}, seed {cell.config.seed}"
        if event["event"] == "epoch":
            self.run_here += event["epoch"] == 0
            self.states[cell.name] = Text(f"{event['epoch']}/{event['epochs']}", style="yellow")
        elif event["event"] == "warning":
            self.console.print(Text(f"{label}: {event['text']}", style="yellow"), soft_wrap=True)
        elif event["event"] == "end":
            mark, style = _MARKS[event["status"]]
            self.states[cell.name] = Text(mark, style=style)
            if event["status"] == BUSY:
                return
            self.ended += 1
            if event["message"]:
                self.console.print(Text(f"{label} {mark}: {event['message']}", style="red"), soft_wrap=True)
            elif not self.console.is_terminal:
                self.console.print(Text(f"{self.ended}/{len(self.cells)}  {label} {mark}"), soft_wrap=True)

    def __rich__(self) -> Group:
        seeds = list(dict.fromkeys(cell.config.seed for cell in self.cells))
        table = Table(title=self.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("loss")
        table.add_column("sampler")
        for seed in seeds[:_MOST_SEEDS]:
            table.add_column(f"seed {seed}", justify="right")
        rows: dict[tuple[str, str], dict[int, Text]] = {}
        for cell in self.cells:
            rows.setdefault((cell.loss, cell.config.sampler), {})[cell.config.seed] = self.states[cell.name]
        for (loss, sampler), states in rows.items():
            table.add_row(Text(loss), sampler, *(states.get(seed, Text("")) for seed in seeds[:_MOST_SEEDS]))
        return Group(table, Text(self._progress(), style="dim"))

    def _progress(self) -> str:
        seconds = time.monotonic() - self.began
        text = f"{self.ended} of {len(self.cells)} cells, {seconds / 60:.0f} min"
        left = len(self.cells) - self.ended
        if self.run_here > 1 and left:
            text += f", about {seconds / self.run_here * left / 60:.0f} min left"
        return text
