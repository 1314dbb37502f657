"""Run cells in worker processes, shared with other processes on the same directory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...children import child_environment
from ...errors import ConfigError
from ...runs.cells import BUSY, DIVERGED, DONE, FAILED, Cell, state, write_failure

Watch = Callable[[Cell, dict[str, Any]], None]
Outcome = tuple[str, str]  # status, message
_PAUSE = 1.0  # seconds between polls of cells that other processes run


def run_cells(cells: Sequence[Cell], out: Path, *, jobs: int, gpus: int, watch: Watch) -> dict[str, Outcome]:
    """Run unfinished cells, and wait for cells that other processes run.

    Args:
        cells: cells in the desired order.
        out: directory of the grid.
        jobs: number of worker processes, one per device.
        gpus: number of CUDA devices; 0 for the CPU, whose cores the workers share.
        watch: receives events, one at a time.

    Returns:
        Status and message by cell name.
    """
    pool = _Pool(cells, out, watch)
    threads = [threading.Thread(target=pool.work, args=(n, _surroundings(n, jobs, gpus)), daemon=True)
               for n in range(min(jobs, max(pool.left, 1)))]  # fmt: skip
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(timeout=0.2)  # a join without a timeout would block Ctrl-C
    finally:
        pool.stop()
    if isinstance(pool.error, OSError):
        raise ConfigError(f"{out}: {pool.error.strerror or pool.error}; make room or write elsewhere") from pool.error
    if pool.error is not None:
        raise pool.error
    return pool.outcomes


def _surroundings(number: int, jobs: int, gpus: int) -> dict[str, str]:
    """Return the environment of a worker: its own GPU, or its share of the cores."""
    own = child_environment()
    if gpus:
        own["CUDA_VISIBLE_DEVICES"] = _visible(number % gpus)
    elif jobs > 1 and "OMP_NUM_THREADS" not in own:
        own["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    return own


def _visible(number: int) -> str:
    given = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    return given[number] if given else str(number)


class _Pool:
    """A queue of cells, a table of outcomes, and the worker processes."""

    def __init__(self, cells: Sequence[Cell], out: Path, watch: Watch) -> None:
        self.out, self.watch = out, watch
        self.lock = threading.Lock()
        self.outcomes: dict[str, Outcome] = {}
        self.queue: deque[Cell] = deque()
        self.workers: set[subprocess.Popen[str]] = set()
        self.stopped = False
        self.error: BaseException | None = None
        for cell in cells:
            status, message = state(cell.place(out))
            if status in (DONE, DIVERGED):
                self.settle(cell, status, message)
            else:
                self.queue.append(cell)

    @property
    def left(self) -> int:
        return len(self.queue)

    def settle(self, cell: Cell, status: str, message: str) -> None:
        with self.lock:
            if status == BUSY:
                self.queue.append(cell)
            else:
                self.outcomes[cell.name] = status, message
            self.watch(cell, {"event": "end", "status": status, "message": message})

    def work(self, number: int, environment: dict[str, str]) -> None:
        """Run cells in a worker process, which is replaced if it dies."""
        worker = None
        try:
            while not self.stopped and (cell := self.next_cell()) is not None:
                status, message = state(cell.place(self.out))
                if status not in (DONE, DIVERGED):
                    worker = worker if worker is not None and worker.poll() is None else self.start(number, environment)
                    status, message = self.ask(worker, cell)
                self.settle(cell, status, message)
                if status == BUSY:
                    time.sleep(_PAUSE)
        except BaseException as error:
            self.error = error
            self.stopped = True
        finally:
            if worker is not None:
                _end(worker)

    def next_cell(self) -> Cell | None:
        with self.lock:
            return self.queue.popleft() if self.queue else None

    def start(self, number: int, environment: dict[str, str]) -> subprocess.Popen[str]:
        logs = self.out / "logs"
        logs.mkdir(exist_ok=True)
        if logs.is_symlink():
            raise ConfigError(f"{logs} is a symbolic link, and nothing is written through links; remove it")
        name = logs / f"worker-{os.getpid()}-{number}.txt"
        with open(name, "a", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o666)) as log:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "lossbench.harness.grid.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
                start_new_session=True,  # Ctrl-C goes to this process, which ends the worker
            )  # fmt: skip
        with self.lock:
            self.workers.add(worker)
        return worker

    def ask(self, worker: subprocess.Popen[str], cell: Cell) -> Outcome:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(json.dumps({"cell": cell.to_json(), "out": str(self.out)}) + "\n")
            worker.stdin.flush()
            for line in worker.stdout:
                event = json.loads(line)
                if event["event"] == "end":
                    return event["status"], event["message"]
                with self.lock:
                    self.watch(cell, event)
        except (BrokenPipeError, ValueError):
            pass  # it died; reported below
        code = worker.wait()
        if self.stopped:
            return BUSY, ""
        ended = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        why = "; possibly out of memory" if code == -9 else ""
        message = f"its process {ended}{why}; see {self.out / 'logs'}"
        write_failure(cell.place(self.out), FAILED, message, cell.config)
        return FAILED, message

    def stop(self) -> None:
        self.stopped = True
        with self.lock:
            for worker in self.workers:
                _end(worker)


def _end(worker: subprocess.Popen[str]) -> None:
    """End a worker immediately; its unfinished cell has no record and is run again."""
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
