"""Train a cell in several processes, which share each batch; with GPUs, each process has its own.

The process that claimed the cell starts them by torchrun, whose variables Accelerate reads, and follows their events.
They stop with a checkpoint when their standard input closes: the process that claimed the cell closes it, or has ended.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ... import errors
from ...children import child_environment
from ...errors import LossbenchError, RunFailed
from ...runs.cells import Cell, checkpoint_step
from ...runs.history import HistoryRow
from ...runs.lock import is_locked
from ...runs.typed_json import read_as
from ..reporter import Reporter
from ..training.signals import StopSignals
from .worker_process import GRACE_SECONDS

_PAUSE = 0.5  # seconds between looks at a lock


class _RanksDied(Exception):  # noqa: N818  # not an error yet
    """Raised when a process ended without saying why, as one that was killed."""


def train_together(cell: Cell, directory: Path, reporter: Reporter, resumes: bool) -> None:
    """Train a cell in `cell.processes` processes, again if one of them dies after a new checkpoint.

    Args:
        cell: claimed cell.
        directory: directory of the cell.
        reporter: receives warnings, and the epochs of the first process.
        resumes: whether to continue from the newest checkpoint.

    Raises:
        LossbenchError: the first error of a process.
        Interrupted: a signal stopped the cell, which has a checkpoint if it was in training.
    """
    _wait_for_others(directory)
    while True:
        reached = checkpoint_step(directory)
        try:
            return _train_once(cell, directory, reporter, resumes)
        except _RanksDied as death:
            if checkpoint_step(directory) <= reached:
                raise RunFailed(
                    f"one of its {cell.processes} processes died{death}; see the log of the worker"
                ) from death
            reporter.warning(
                f"one of its {cell.processes} processes died; the cell continues from its newest checkpoint"
            )
            resumes = True


def _wait_for_others(directory: Path) -> None:
    """Wait until the processes of a claim that ended have written their checkpoint."""
    until = time.monotonic() + GRACE_SECONDS
    while is_locked(directory) and time.monotonic() < until:
        time.sleep(_PAUSE)


def _train_once(cell: Cell, directory: Path, reporter: Reporter, resumes: bool) -> None:
    order = {"cell": cell.to_json(), "directory": str(directory), "resumes": resumes}
    signals = StopSignals(lambda text: None)
    with tempfile.TemporaryDirectory() as logs, signals.listening():
        command = [
            *(sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--log-dir", logs),
            *("--nproc-per-node", str(cell.processes), "-m", "lossbench.harness.grid.rank", json.dumps(order)),
        ]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment()
        ) as launched:
            assert launched.stdout is not None
            try:
                with signals.at_once():
                    ends = _follow(launched.stdout, reporter)
            except BaseException:
                _stop(launched)
                raise
    _raise_for(ends, cell.processes)


def _stop(launched: subprocess.Popen[str]) -> None:
    """Let the processes write a checkpoint, and wait until they have ended."""
    assert launched.stdin is not None
    assert launched.stdout is not None
    with contextlib.suppress(OSError):
        launched.stdin.close()
    # Torchrun may have ended before them, on a signal that it does not handle; all of them have the pipe.
    ended = threading.Thread(target=launched.stdout.read, daemon=True)
    ended.start()
    try:
        ended.join(GRACE_SECONDS)
    finally:
        launched.kill()


def _follow(lines: Iterable[str], reporter: Reporter) -> list[dict[str, Any]]:
    """Pass events on to the reporter until every process has ended; return how they ended, in order of time."""
    ends = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # a process ended while it wrote this line
            continue
        if event["event"] == "end":
            ends.append(event)
        elif event["event"] == "warning":
            reporter.warning(event["text"])
        elif event["event"] == "begin":
            reporter.begin(event["epochs"], event["steps"])
        else:
            reporter.epoch(read_as(HistoryRow, event["row"]))
    return ends


def _raise_for(ends: list[dict[str, Any]], processes: int) -> None:
    """Raise the error of the processes, if they have one.

    An error of lossbench is the cause wherever it occurred; any other may result from the death of another process.
    """
    failed = [end for end in ends if end["error"]]
    for end in failed:
        kind = getattr(errors, end["error"], None)
        if isinstance(kind, type) and issubclass(kind, LossbenchError):
            raise kind(end["message"])
    told = f"{failed[0]['error']}: {failed[0]['message']}" if failed else ""
    if len(ends) < processes:
        raise _RanksDied(told and f" ({told})")
    if failed:
        raise RunFailed(told)
