"""The executor `ray`: one Ray task per cell, on a cluster or on this machine.

Ray decides how many cells run at a time from what each asks for: `--ray "cpus=4 gpus=0.5"` puts two cells on a GPU. The
command waits. Ray starts the tasks of a node that died on other nodes, where they continue from their checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...children import children_with_this_path
from ...errors import ConfigError, DiskFullError, UsageError, missing_package
from ...registry import object_names
from ...runs.cells import BUSY, FAILED, FULL, Cell, write_failure
from .executors import Order
from .follow import EpochEvents, unsettled
from .job import Task, check_machine, remove_task, write_task
from .kept_data import WarmSplits
from .ray_options import RayOptions, read_ray_options
from .worker_process import GRACE_SECONDS

_PAUSE = 1.0  # seconds between looks at what is running
_CONNECT_SECONDS = 10.0
_STARTS_ON_OTHER_NODES = 8  # of a cell whose node or process died
_read = WarmSplits()  # of this process, which Ray uses for one task after another


def check(options: Mapping[str, str], processes: int = 1) -> None:
    """Check what can be checked before a comparison is planned.

    Raises:
        ConfigError: Ray is missing, or an option is wrong.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise missing_package("tasks of --executor ray", "ray", error) from error
    read_ray_options(options, processes)


def run(order: Order) -> None:
    """Run the unfinished cells as tasks of Ray, and wait for them.

    Raises:
        ConfigError: there is no cluster, it lacks what a cell asks for, or a node cannot run cells.
        DiskFullError: the disk of a node is full.
    """
    options = read_ray_options(order.options, order.processes)
    if not (left := unsettled(order.cells, order.out)):
        return
    task = write_task(left, order.out)
    try:
        with _connected(options, left):
            _run_tasks(order, options, task, left)
    finally:
        remove_task(order.out, task.attempt)


def run_task(task: dict[str, Any], cell: dict[str, Any]) -> tuple[str, str]:
    """Run a cell in a process of Ray; return its status and message."""
    from .worker import run_cell

    known = Task(**task)
    check_machine(known)
    return run_cell(Cell.from_json(cell), Path(known.out), lambda event: None, _read, known.attempt)


@contextlib.contextmanager
def _connected(options: RayOptions, cells: list[Cell]) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine; leave or stop it at the end."""
    import ray

    objects = os.environ.get("LOSSBENCH_OBJECTS") if any(object_names(cell.config.loss) for cell in cells) else None
    here: dict[str, Any] = {} if options.address else {"include_dashboard": False}
    variables = {"env_vars": {"LOSSBENCH_OBJECTS": objects}} if objects else {}
    try:
        _check_address(options.address)
        with children_with_this_path():
            ray.init(address=options.address or "local", log_to_driver=False, runtime_env=variables, **here)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"--ray address={options.address}: no Ray cluster can be reached ({first}). Start one with `ray start "
            "--head`, or leave address out for one on this machine"
        ) from error
    try:
        have = ray.cluster_resources()
        for name, wanted in (("CPU", options.cpus), ("GPU", options.gpus)):
            if wanted > have.get(name, 0.0):
                raise ConfigError(
                    f"--ray {name.lower()}s={wanted:g}: the cluster has {have.get(name, 0.0):g} {name}s, so no cell "
                    "would start"
                )
        yield
    finally:
        ray.shutdown()


def _check_address(address: str | None) -> None:
    """Connect to HOST:PORT once; Ray itself tries for a minute and then ends the process.

    Raises:
        OSError: nothing answers.
    """
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()


def _run_tasks(order: Order, options: RayOptions, task: Task, left: list[Cell]) -> None:
    import ray

    remote = ray.remote(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=_STARTS_ON_OTHER_NODES)(run_task)
    waiting, running = deque(left), dict[Any, Cell]()
    epochs = EpochEvents(order.out, order.watch)
    try:
        while waiting or running:
            while waiting and (order.jobs is None or len(running) < order.jobs):
                cell = waiting.popleft()
                running[remote.remote(task.to_json(), cell.to_json())] = cell
            ended, _ = ray.wait(list(running), num_returns=len(running), timeout=_PAUSE)
            busy = False
            for reference in ended:
                cell = running.pop(reference)
                status, message = _outcome(reference, cell, order.out, task.attempt)
                if status == FULL:  # as it will be for other cells
                    raise DiskFullError(message)
                if status == BUSY:  # by a process of a dead node that has not ended yet, or by another comparison
                    waiting.append(cell)
                    busy = True
                order.watch(cell, {"event": "end", "status": status, "message": message})
            epochs.tell(running.values())
            if busy:
                time.sleep(_PAUSE)
    except BaseException:
        for reference in running:
            ray.cancel(reference)  # cells in training write a checkpoint
        with contextlib.suppress(Exception):
            ray.wait(list(running), num_returns=max(1, len(running)), timeout=GRACE_SECONDS)
        raise


def _outcome(reference: Any, cell: Cell, out: Path, attempt: str) -> tuple[str, str]:
    """Return status and message of a task that ended.

    Raises:
        UsageError: its node cannot run cells.
    """
    import ray

    try:
        status, message = ray.get(reference)
        return str(status), str(message)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UsageError):
            raise cause from error
        status, message = FAILED, f"its task failed: {type(cause).__name__}: {cause}"
    except ray.exceptions.RayError as error:
        status, message = FAILED, f"its task failed: {str(error).strip().splitlines()[0]}"
    write_failure(cell.place(out), status, message, cell.config, attempt)
    return status, message
