"""Follow cells that other processes run, by the files in the shared directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ...runs.cells import Cell, settled
from ...runs.grid_status import RUNNING, cell_progress
from .pool import Watch

_PAUSE = 2.0  # seconds between looks at the directory
_SECONDS_PER_CELL = 0.001  # a look at one cell, on a slow file system


def unsettled(cells: Sequence[Cell], out: Path, attempt: str = "") -> list[Cell]:
    """Return the cells that are still to be run.

    Args:
        cells: all cells.
        out: directory of the grid.
        attempt: name of a submission; cells that failed in it are not among them.
    """
    return [cell for cell in cells if settled(cell.place(out), attempt) is None]


class EpochEvents:
    """Tells of the epochs that cells have finished, by their files.

    Args:
        out: directory of the grid.
        watch: receives the events.
    """

    def __init__(self, out: Path, watch: Watch) -> None:
        self.out, self.watch = out, watch
        self._told: dict[str, int] = {}

    def tell(self, cells: Iterable[Cell]) -> None:
        """Tell of the running ones among some cells whose epoch has changed."""
        for cell in cells:
            found = cell_progress(cell.place(self.out))
            if found["state"] == RUNNING and found["epochs"] and self._told.get(cell.name) != found["epoch"]:
                self._told[cell.name] = found["epoch"]
                self.watch(cell, {"event": "epoch", "epoch": found["epoch"], "epochs": found["epochs"]})


def follow(cells: Sequence[Cell], out: Path, attempt: str, watch: Watch, alive: Callable[[], bool]) -> list[Cell]:
    """Wait until every cell is settled or nothing runs cells any more; return those that are not settled.

    Args:
        cells: cells to follow.
        out: directory of the grid.
        attempt: name of the submission.
        watch: receives events of cells.
        alive: function that returns whether anything may still run cells.
    """
    left, epochs = list(cells), EpochEvents(out, watch)
    while True:
        running = alive()  # before the look at the files, which may change up to the end of a process
        still = []
        for cell in left:
            if outcome := settled(cell.place(out), attempt):
                watch(cell, {"event": "end", "status": outcome[0], "message": outcome[1]})
                continue
            still.append(cell)
        left = still
        epochs.tell(left)
        if not left or not running:
            return left
        time.sleep(max(_PAUSE, 10 * _SECONDS_PER_CELL * len(left)))
