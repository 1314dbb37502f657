"""A process that runs cells one after another and keeps imports and data loaded.

    python -m lossbench.harness.grid.worker

It reads one cell per line from standard input, as JSON, and writes one event per line to standard output. It exits when
standard input closes, because its parent process has then ended, and on every signal that stops a run; a cell in
training writes a checkpoint first.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, DiskFullError, LossbenchError, NonFiniteError
from ...files import RESUME_RUN, is_full
from ...runs.cells import (
    BUSY,
    DIVERGED,
    DONE,
    FAILED,
    FAILURE,
    FULL,
    Cell,
    checkpoint_step,
    claim,
    clear,
    settled,
    write_failure,
)
from ...runs.history import HistoryRow
from ..reporter import Reporter
from ..resume import resume_with
from ..run import run
from .kept_data import WarmSplits
from .ranks import train_together
from .worker_process import GRACE_SECONDS

_RESUME_GRID = "run the same command again, and cells continue from their checkpoints"
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


def run_cell(cell: Cell, out: Path, say: Say, read: WarmSplits, attempt: str = "") -> tuple[str, str]:
    """Claim and run a cell unless it is finished; return its status and, for failures, the message.

    A cell that was interrupted continues from its newest checkpoint.

    Args:
        cell: cell to run.
        out: directory of the grid.
        say: receives events.
        read: data of the process.
        attempt: name of the submission; a cell that failed in it is not run again.

    Raises:
        Interrupted: a signal stopped the cell, which has a checkpoint if it was in training.
    """
    directory = cell.place(out)
    try:
        with claim(directory) as ours:
            return _run_claimed(cell, directory, say, read, attempt) if ours else (BUSY, "")
    except OSError as error:  # the claim cannot be written
        return FULL if is_full(error) else FAILED, f"{error.filename or directory}: {error.strerror or error}"


def _run_claimed(cell: Cell, directory: Path, say: Say, read: WarmSplits, attempt: str) -> tuple[str, str]:
    if outcome := settled(directory, attempt):
        return outcome
    try:
        _train(cell, directory, _Telling(say), read)
        return DONE, ""
    except DiskFullError as error:
        status, message = FULL, str(error).replace(RESUME_RUN, _RESUME_GRID)
    except NonFiniteError as error:
        status, message = DIVERGED, str(error)
    except (LossbenchError, OSError) as error:
        full = isinstance(error, OSError) and is_full(error)
        status, message = FULL if full else FAILED, str(error)
    except (Exception, SystemExit) as error:  # errors of plugins or libraries become a row of the table
        status, message = FAILED, f"{type(error).__name__}: {error}"
    if status != FULL:
        write_failure(directory, status, message, cell.config, attempt)
    return status, message


def _train(cell: Cell, directory: Path, reporter: Reporter, read: WarmSplits) -> None:
    """Run a cell, from its newest checkpoint if it has one that fits."""
    (directory / FAILURE).unlink(missing_ok=True)
    if checkpoint_step(directory):
        try:
            _train_from(cell, directory, reporter, read, resumes=True)
            return
        except CheckpointError as error:
            reporter.warning(f"starting from the beginning: {error}")
    clear(directory)
    _train_from(cell, directory, reporter, read, resumes=False)


def _train_from(cell: Cell, directory: Path, reporter: Reporter, read: WarmSplits, resumes: bool) -> None:
    """Run a cell from its newest checkpoint or from the beginning, in this process or in several."""
    if cell.processes > 1:
        train_together(cell, directory, reporter, resumes)
    elif resumes:
        resume_with(cell.config, directory, reporter, read=read, sealed=cell.sealed)
    else:
        run(cell.config, directory, reporter, read=read, sealed=cell.sealed)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not mix with events
    orders: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        signal.raise_signal(signal.SIGTERM)  # ends a process that is not training
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    def say(event: dict[str, Any]) -> None:
        answers.write(json.dumps(event) + "\n")

    threading.Thread(target=listen, daemon=True).start()
    read = WarmSplits()
    while True:
        order = orders.get()
        try:
            cell, out = Cell.from_json(order["cell"]), Path(order["out"])
            status, message = run_cell(cell, out, say, read, order["attempt"])
        except KeyboardInterrupt as error:  # also `Interrupted`
            os._exit(getattr(error, "exit_code", 130))
        say({"event": "end", "status": status, "message": message})
        gc.collect()
        _empty_gpu()


def _empty_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
