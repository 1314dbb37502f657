"""How far the cells of a comparison are, from the files in its directory alone."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..strict_files import read_bytes
from . import layout
from .cells import CELLS, DIVERGED, DONE, FAILED, TRIALS, checkpoint_step, state
from .grid_file import GridCell, entrant_name, read_grid_file
from .history import HistoryRow
from .json_text import FieldError, parse
from .lock import is_locked
from .typed_json import read_as

WAITING, RUNNING = "waiting", "running"
STATES = (WAITING, RUNNING, DONE, FAILED, DIVERGED)
_LIMIT = 64 * 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class CellStatus:
    """How far one cell is.

    Attributes:
        name: name of its directory.
        loss: name of the loss in the comparison.
        sampler: how training rows are drawn.
        seed: seed of the run.
        fold: its test fold, from 1; None without folds.
        state: one of `STATES`; a cell that was interrupted is waiting.
        epoch: finished epochs; None before the first one and after the last.
        epochs: epochs of the run; None as for `epoch`.
        images_per_second: training speed in the last finished epoch.
        node: host name of the machine that runs the cell.
        message: why a cell failed.
    """

    name: str
    loss: str
    sampler: str
    seed: int
    fold: int | None
    state: str
    epoch: int | None = None
    epochs: int | None = None
    images_per_second: float | None = None
    node: str | None = None
    message: str = ""


@dataclass(frozen=True)
class GridStatus:
    """How far a comparison is.

    Attributes:
        directory: directory of the comparison.
        cells: its cells, in their order.
        trials: number of tuning trials by state, of those that have begun.
    """

    directory: Path
    cells: tuple[CellStatus, ...]
    trials: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of cells by state."""
        found = Counter(cell.state for cell in self.cells)
        return {name: found[name] for name in STATES}

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON-ready."""
        return {
            "directory": str(self.directory),
            "counts": self.counts,
            "trials": self.trials,
            "cells": [asdict(cell) for cell in self.cells],
        }


def read_status(directory: Path) -> GridStatus:
    """Return how far the cells of a comparison are.

    Raises:
        RecordError: the directory is not that of a comparison.
    """
    cells = read_grid_file(directory).cells
    begun = _names(directory / CELLS)
    trials = Counter(
        cell_progress(directory / TRIALS / name)["state"] for name in _names(directory / TRIALS) if name[0] != "."
    )
    return GridStatus(
        directory, tuple(_status(cell, directory / CELLS, begun) for cell in cells), dict(sorted(trials.items()))
    )


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _status(cell: GridCell, folder: Path, begun: set[str]) -> CellStatus:
    found: dict[str, Any] = cell_progress(folder / cell.name) if cell.name in begun else {"state": WAITING}
    entrant = entrant_name(cell.loss, cell.copy)
    return CellStatus(name=cell.name, loss=entrant, sampler=cell.sampler, seed=cell.seed, fold=cell.fold, **found)


def cell_progress(place: Path) -> dict[str, Any]:
    """Return the fields of `CellStatus` that a cell's files determine."""
    status, message = state(place)
    if status == DONE:
        return {"state": DONE}
    running = is_locked(place)
    if status in (FAILED, DIVERGED) and not running:
        return {"state": status, "message": message}
    if not running and not checkpoint_step(place):
        return {"state": WAITING}
    last = _last_row(place)
    return {
        "state": RUNNING if running else WAITING,
        "epoch": 0 if last is None else last.epoch + 1,
        "epochs": _epochs(place),
        "images_per_second": last and last.images_per_second,
        "node": _node(place) if running else None,
    }


def _last_row(place: Path) -> HistoryRow | None:
    try:
        lines = read_bytes(place / layout.HISTORY, _LIMIT).splitlines()
        return read_as(HistoryRow, parse(lines[-1])) if lines else None
    except (RecordError, FieldError):
        return None


def _epochs(place: Path) -> int | None:
    try:
        epochs = tomllib.loads(read_bytes(place / layout.CONFIG, _LIMIT).decode()).get("epochs")
    except (RecordError, ValueError):
        return None
    return epochs if isinstance(epochs, int) else None


def _node(place: Path) -> str | None:
    try:
        return read_bytes(place / layout.LOCK, 200).decode(errors="replace").partition(" on ")[2] or None
    except RecordError:
        return None
