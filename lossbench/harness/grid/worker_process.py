"""Start and end the processes that run cells, and read their events."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...children import child_environment
from ...errors import ConfigError
from ...files import plain
from ...runs.cells import Cell

GRACE_SECONDS = 60.0  # for a step to end and its checkpoint to be written
_STOPS = ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


class Ended(NamedTuple):
    """How a worker process ended before it answered.

    Attributes:
        how: for messages.
        stopped: whether a signal that stops runs ended it, rather than a crash.
    """

    how: str
    stopped: bool


def worker_environment(number: int, jobs: int, gpus: int, processes: int = 1) -> dict[str, str]:
    """Return the environment of a worker: its own GPUs, or its share of the cores.

    Args:
        number: number of the worker, from 0.
        jobs: number of workers.
        gpus: number of CUDA devices that the workers share; 0 for the CPU.
        processes: number of processes that train a cell together, each with a GPU of its own.
    """
    own = child_environment()
    if gpus:
        first = number % max(1, gpus // processes) * processes
        own["CUDA_VISIBLE_DEVICES"] = ",".join(map(_visible, range(first, min(first + processes, gpus))))
    elif jobs * processes > 1 and "OMP_NUM_THREADS" not in own:
        own["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // (jobs * processes)))
    return own


def _visible(number: int) -> str:
    given = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    return given[number] if given else str(number)


class WorkerProcess:
    """A process that runs cells of one grid, one after another.

    Args:
        out: directory of the grid.
        number: number of the worker, for the name of its log.
        environment: environment of the process.

    Raises:
        ConfigError: the directory of the logs is a symbolic link.
        OSError: the log cannot be written.
    """

    def __init__(self, out: Path, number: int, environment: Mapping[str, str]) -> None:
        self.out = out
        logs = out / "logs"
        logs.mkdir(exist_ok=True)
        if logs.is_symlink():
            raise ConfigError(f"{logs} is a symbolic link, and nothing is written through links; remove it")
        name = logs / f"worker-{plain(socket.gethostname())}-{os.getpid()}-{number}.txt"
        links = getattr(os, "O_NOFOLLOW", 0)
        with open(name, "a", opener=lambda path, flags: os.open(path, flags | links, 0o666)) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lossbench.harness.grid.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
                start_new_session=True,  # Ctrl-C goes to this process, which stops the worker
            )  # fmt: skip

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self.process.poll() is None

    def ask(self, cell: Cell, tell: Callable[[dict[str, Any]], None], attempt: str = "") -> tuple[str, str] | Ended:
        """Run a cell; return its status and message, or how the process ended instead.

        Args:
            cell: cell to run.
            tell: receives the other events.
            attempt: name of the submission.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended
            order = {"cell": cell.to_json(), "out": str(self.out), "attempt": attempt}
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # it ended while it wrote this line
                break
            if event["event"] == "end":
                return event["status"], event["message"]
            tell(event)
        return _ended(self.process.wait())

    def stop(self) -> None:
        """Ask the process to end; a cell in training writes a checkpoint first."""
        self.process.terminate()

    def end(self, seconds: float = 0.0) -> None:
        """End the process, at the latest after these seconds."""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """End the process at once and close its pipes."""
        self.end()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _ended(code: int) -> Ended:
    """Return how a process with this exit code ended; a run that a signal stopped exits with 128 plus its number.

    Example:
        >>> _ended(-9).how, _ended(143).how
        ('was killed by signal 9; possibly out of memory', 'was stopped by SIGTERM')
    """
    number = -code if code < 0 else code - 128
    stops = {s.value: s.name for s in signal.Signals if s.name in _STOPS}
    if number in stops:
        return Ended(f"was stopped by {stops[number]}", stopped=True)
    how = f"was killed by signal {number}" if code < 0 else f"exited with code {code}"
    return Ended(f"{how}{'; possibly out of memory' if code == -9 else ''}", stopped=False)
