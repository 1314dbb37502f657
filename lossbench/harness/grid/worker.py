"""A process that runs cells one after another and keeps imports and data loaded.

    python -m lossbench.harness.grid.worker

It reads one cell per line from standard input, as JSON, and writes one event per line to standard output. It exits when
standard input closes, even during a cell, because its parent process has then ended.
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
    """A reporter that sends the progress of a cell as events."""

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
    """Claim and run a cell unless it is finished; return its status and, for failures, the message.

    Args:
        cell: cell to run.
        out: directory of the grid.
        say: receives events.
        read: data of the process.
    """
    directory = cell.place(out)
    try:
        with claim(directory) as ours:
            return _run_claimed(cell, directory, say, read) if ours else (BUSY, "")
    except OSError as error:  # the claim cannot be written
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
    except (Exception, SystemExit) as error:  # errors of plugins or libraries become a row of the table
        status, message = FAILED, f"{type(error).__name__}: {error}"
    write_failure(directory, status, message, cell.config)
    return status, message


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not mix with events
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
