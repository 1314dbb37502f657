"""One of the processes that train a cell together.

    torchrun … -m lossbench.harness.grid.rank ORDER

It writes one event per line to standard output: the first process its progress, every process how it ended. It stops
with a checkpoint when standard input closes, and on every signal that stops a run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ...printable import shortened
from ...runs.cells import Cell
from ...runs.history import HistoryRow
from ..resume import resume_with
from ..run import run
from .worker_process import GRACE_SECONDS

_LONGEST_MESSAGE = 3000  # characters; longer lines of several processes could mix


class _Events:
    """A reporter that writes events.

    Args:
        first: whether this is the first process; the others are silent until they end.
    """

    def __init__(self, first: bool) -> None:
        self.first, self.file = first, os.dup(1)
        os.dup2(2, 1)  # output of libraries must not mix with events

    def message(self, text: str) -> None:
        pass  # notes are in the record

    def warning(self, text: str) -> None:
        self._say({"event": "warning", "text": text})

    def begin(self, epochs: int, steps: int) -> None:
        self._say({"event": "begin", "epochs": epochs, "steps": steps})

    def step(self, epoch: int) -> None:
        pass

    def epoch(self, row: HistoryRow) -> None:
        self._say({"event": "epoch", "row": row.to_json()})

    def end(self, error: BaseException | None) -> None:
        """Say how this process ended."""
        message = shortened(str(error or ""), _LONGEST_MESSAGE)
        self._write({"event": "end", "error": error and type(error).__name__, "message": message})

    def _say(self, event: dict[str, Any]) -> None:
        if self.first:
            self._write(event)

    def _write(self, event: dict[str, Any]) -> None:
        os.write(self.file, (json.dumps(event) + "\n").encode())


def main() -> None:
    order = json.loads(sys.argv[1])
    events = _Events(os.environ["RANK"] == "0")
    threading.Thread(target=_end_with_the_claim, daemon=True).start()
    cell, directory = Cell.from_json(order["cell"]), Path(order["directory"])
    try:
        if order["resumes"]:
            resume_with(cell.config, directory, events, sealed=cell.sealed)
        else:
            run(cell.config, directory, events, sealed=cell.sealed)
    except KeyboardInterrupt as error:  # also `Interrupted`
        os._exit(getattr(error, "exit_code", 130))
    except (Exception, SystemExit) as error:
        events.end(error)
        raise  # for the log
    events.end(None)


def _end_with_the_claim() -> None:
    """End this process when the one that claimed the cell has ended or closes its pipe."""
    while os.read(0, 1):
        pass
    signal.raise_signal(signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
