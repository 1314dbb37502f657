"""A process that runs cells, one after another, with imports and data kept warm.

    python -m lossbench.harness.grid.worker

It reads a cell a line from standard input, as JSON, and answers with events, a line each, on standard output. When
standard input ends, so does it, also in the midst of a cell: who started it is gone.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import LossbenchError, NonFiniteError
from ...runs.cells import BUSY, DIVERGED, DONE, FAILED, Cell, claim, clear, state, write_failure
from ...runs.history import HistoryRow
from ..run import run
from .kept_data import WarmSplits

Say = Callable[[dict[str, Any]], None]


class _Telling:
    """A reporter that says by events how a cell goes."""

    def __init__(self, say: Say) -> None:
        self.say, self.epochs = say, 0

    def message(self, text: str) -> None:
        pass  # notes are in the record

    def warning(self, text: str) -> None:
        self.say({"event": "warning", "text": text})

    def begin(self, epochs: int, steps: int) -> None:
        self.epochs = epochs
        self.say({"event": "epoch", "epoch": 0, "epochs": epochs})

    def step(self, epoch: int) -> None:
        pass

    def epoch(self, row: HistoryRow) -> None:
        self.say({"event": "epoch", "epoch": row.epoch + 1, "epochs": self.epochs})


def run_cell(cell: Cell, out: Path, say: Say, read: WarmSplits) -> tuple[str, str]:
    """Claims a cell and runs it, unless that was done; gives its status and, for a bad end, the message.

    Args:
        cell: what to run.
        out: directory of the grid.
        say: is told how it goes.
        read: the process's data.
    """
    directory = cell.place(out)
    try:
        with claim(directory) as ours:
            return _run_claimed(cell, directory, say, read) if ours else (BUSY, "")
    except OSError as error:  # no claim can be written
        return FAILED, f"{error.filename or directory}: {error.strerror or error}"


def _run_claimed(cell: Cell, directory: Path, say: Say, read: WarmSplits) -> tuple[str, str]:
    status, message = state(directory)
    if status in (DONE, DIVERGED):
        return status, message
    try:
        clear(directory)
        run(cell.config, directory, _Telling(say), read=read, sealed=cell.sealed)
        return DONE, ""
    except NonFiniteError as error:
        status, message = DIVERGED, str(error)
    except (LossbenchError, OSError) as error:
        status, message = FAILED, str(error)
    except (Exception, SystemExit) as error:  # of a plugin, or of a library: a row of the table
        status, message = FAILED, f"{type(error).__name__}: {error}"
    write_failure(directory, status, message, cell.config)
    return status, message


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not stand between answers
    orders: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        os._exit(0)

    def say(event: dict[str, Any]) -> None:
        answers.write(json.dumps(event) + "\n")

    threading.Thread(target=listen, daemon=True).start()
    read = WarmSplits()
    while True:
        order = orders.get()
        status, message = run_cell(Cell.from_json(order["cell"]), Path(order["out"]), say, read)
        say({"event": "end", "status": status, "message": message})
        gc.collect()
        _empty_gpu()


def _empty_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
