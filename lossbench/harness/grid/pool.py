"""Run cells in worker processes, shared with other processes on the same directory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import ConfigError, DiskFullError
from ...runs.cells import BUSY, FAILED, FULL, Cell, checkpoint_step, settled, write_failure
from .devices import processes_per_cell
from .worker_process import GRACE_SECONDS, Ended, WorkerProcess, worker_environment

Watch = Callable[[Cell, dict[str, Any]], None]
Outcome = tuple[str, str]  # status, message
_PAUSE = 1.0  # seconds between polls of cells that other processes run
_STOPS_WITHOUT_PROGRESS = 3


def run_cells(cells: Sequence[Cell], out: Path, *, jobs: int, gpus: int, watch: Watch) -> dict[str, Outcome]:
    """Run unfinished cells, and wait for cells that other processes run.

    When this process is interrupted, cells in training write a checkpoint, from which the next call continues.

    Args:
        cells: cells in the desired order.
        out: directory of the grid.
        jobs: number of worker processes, that is, of cells that run at a time.
        gpus: number of CUDA devices; 0 for the CPU, whose cores the workers share.
        watch: receives events, one at a time.

    Returns:
        Status and message by cell name.
    """
    pool = Pool(cells, out, watch)
    together = processes_per_cell(cells)
    pool.run([worker_environment(n, jobs, gpus, together) for n in range(min(jobs, max(pool.left, 1)))])
    return pool.outcomes


class Pool:
    """A queue of cells, a table of outcomes, and the worker processes.

    Args:
        cells: cells in the desired order.
        out: directory of the grid.
        watch: receives events, one at a time.
        attempt: name of a submission, of which this pool is one of many: it does not run cells that failed in this
            submission, and does not wait for cells that others run. Empty for the only pool, which does both.

    Attributes:
        outcomes: status and message by cell name.
        error: what ended a thread; None if nothing did.
    """

    def __init__(self, cells: Sequence[Cell], out: Path, watch: Watch, attempt: str = "") -> None:
        self.out, self.watch, self.attempt = out, watch, attempt
        self.lock = threading.Lock()
        self.outcomes: dict[str, Outcome] = {}
        self.queue: deque[Cell] = deque()
        self.busy: list[Cell] = []  # run by other pools of the submission, and tried once more at the end
        self.training: dict[WorkerProcess, Cell] = {}
        self.again = False
        self.stopped = threading.Event()
        self.error: BaseException | None = None
        for cell in cells:
            if outcome := settled(cell.place(out), attempt):
                self.settle(cell, *outcome)
            else:
                self.queue.append(cell)

    def run(self, environments: Sequence[dict[str, str]]) -> None:
        """Run the cells in worker processes with these environments.

        Raises:
            ConfigError: the directory cannot be written.
            DiskFullError: the disk is full; cells keep their checkpoints and are not counted as failed.
        """
        threads = [
            threading.Thread(target=self.work, args=(number, environment), daemon=True)
            for number, environment in enumerate(environments)
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(timeout=0.2)  # a join without a timeout would block Ctrl-C
        finally:
            self.stop()
        if isinstance(self.error, OSError):
            why = self.error.strerror or self.error
            raise ConfigError(f"{self.out}: {why}; make room or write elsewhere") from self.error
        if self.error is not None:
            raise self.error

    @property
    def left(self) -> int:
        """Return the number of cells in the queue."""
        return len(self.queue)

    def settle(self, cell: Cell, status: str, message: str) -> None:
        """Record the outcome of a cell, or queue a cell that another process runs again."""
        with self.lock:
            if status == BUSY and self.attempt:
                self.busy.append(cell)
            elif status == BUSY:
                self.queue.append(cell)
            else:
                self.outcomes[cell.name] = status, message
            self.watch(cell, {"event": "end", "status": status, "message": message})

    def work(self, number: int, environment: dict[str, str]) -> None:
        """Run cells in a worker process, which is replaced if it dies."""
        workers: list[WorkerProcess] = []

        def living() -> WorkerProcess:
            if not workers or not workers[-1].is_alive():
                workers.append(WorkerProcess(self.out, number, environment))
            return workers[-1]

        try:
            while not self.stopped.is_set() and (cell := self.next_cell()) is not None:
                status, message = settled(cell.place(self.out), self.attempt) or self.train(cell, living)
                self.settle(cell, status, message)
                if status == BUSY and not self.attempt:
                    time.sleep(_PAUSE)
        except BaseException as error:
            self.error = error
            self.stopped.set()
        finally:
            for worker in workers:
                worker.close()

    def train(self, cell: Cell, worker: Callable[[], WorkerProcess]) -> Outcome:
        """Run a cell, again if its process dies, as long as each process gets further than the one before."""
        place, stops = cell.place(self.out), 0
        while True:
            reached = checkpoint_step(place)
            answer = self.ask(worker(), cell)
            if not isinstance(answer, Ended):
                if answer[0] == FULL:  # as it will be for other cells
                    raise DiskFullError(answer[1])
                return answer
            if self.stopped.is_set():
                return BUSY, ""
            stops = 0 if checkpoint_step(place) > reached else stops + 1
            if stops >= (_STOPS_WITHOUT_PROGRESS if answer.stopped else 1):
                message = f"its process {answer.how}; see {self.out / 'logs'}"
                write_failure(place, FAILED, message, cell.config, self.attempt)
                return FAILED, message
            self.warn(cell, f"its process {answer.how}; the cell continues from its newest checkpoint")
            time.sleep(_PAUSE)

    def next_cell(self) -> Cell | None:
        """Return the next cell of the queue, or None."""
        with self.lock:
            if not self.queue and not self.again:
                self.again = True
                self.queue.extend(self.busy)
            return self.queue.popleft() if self.queue else None

    def ask(self, worker: WorkerProcess, cell: Cell) -> Outcome | Ended:
        """Run a cell in a worker process."""

        def tell(event: dict[str, Any]) -> None:
            with self.lock:
                self.watch(cell, event)

        self.training[worker] = cell
        try:
            return worker.ask(cell, tell, self.attempt)
        finally:
            self.training.pop(worker, None)

    def warn(self, cell: Cell, text: str) -> None:
        """Pass on a warning about a cell."""
        with self.lock:
            self.watch(cell, {"event": "warning", "text": text})

    def stop(self) -> None:
        """End all worker processes; cells in training write a checkpoint first. A second Ctrl-C ends them at once."""
        self.stopped.set()
        training = dict(self.training)
        until = time.monotonic() + GRACE_SECONDS
        for worker, cell in training.items():
            worker.stop()
            self.warn(cell, "writing a checkpoint; press Ctrl-C again to stop immediately")
        try:
            for worker in training:
                worker.end(max(0.0, until - time.monotonic()))
        finally:
            for worker in training:
                worker.end()
