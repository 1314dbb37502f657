"""A job on some machine: claims cells of a comparison in its shared directory until none is left."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ... import files
from ...errors import ConfigError, RecordError
from ...runs.cells import Cell
from ...runs.json_text import FieldError
from ...runs.typed_json import read_as
from ...strict_files import read_bytes
from ...versions import version
from .devices import processes_per_cell
from .pool import Pool
from .worker_process import worker_environment

JOBS = "jobs"  # directory of orders and logs within that of a grid
_LIMIT = 512 * 2**20  # bytes
_VERSIONS = ("lossbench", "torch")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a job must know; it is passed to the job itself, not through the shared directory.

    Attributes:
        out: directory of the grid, an absolute path.
        attempt: name of this submission. A cell that failed is tried once per submission.
        token: content of a file in the directory, which shows that the machines share it.
        versions: package -> version on the submitting machine.
        folder: working directory of the command, from which relative paths of data start.
    """

    out: str
    attempt: str
    token: str
    versions: dict[str, str]
    folder: str

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON-ready."""
        return asdict(self)


def write_task(cells: Sequence[Cell], out: Path) -> Task:
    """Write the cells of a submission and the token into the directory of a grid; return the task of its jobs."""
    attempt, token = secrets.token_hex(4), secrets.token_hex(16)
    folder = out.absolute() / JOBS
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a symbolic link, and nothing is written through links; remove it")
    files.write_text(folder / f"{attempt}.token", token)
    lines = (json.dumps(cell.to_json()) + "\n" for cell in cells)
    files.write_text(folder / f"{attempt}.cells.jsonl", "".join(lines))
    return Task(
        out=str(out.absolute()),
        attempt=attempt,
        token=token,
        versions={package: version(package) for package in _VERSIONS},
        folder=os.getcwd(),
    )


def remove_task(out: Path, attempt: str) -> None:
    """Remove the files of a submission whose jobs have ended."""
    for name in (f"{attempt}.token", f"{attempt}.cells.jsonl"):
        (out / JOBS / name).unlink(missing_ok=True)


def check_machine(task: Task) -> None:
    """Check that this machine shares the directory of a grid with the submitting one, and has the same versions.

    The working directory becomes that of the command, if it exists here.

    Raises:
        ConfigError: it does not.
    """
    here, file = socket.gethostname(), Path(task.out) / JOBS / f"{task.attempt}.token"
    try:
        found = read_bytes(file, 1000).decode(errors="replace")
    except RecordError:
        found = ""
    if found != task.token:
        raise ConfigError(
            f"{here} does not share {task.out} with the machine that submitted the comparison: "
            f"{'another directory is' if os.path.isdir(task.out) else 'nothing is'} at that path. Pass an --out on a "
            "file system that all nodes mount at the same path"
        )
    own = {package: version(package) for package in task.versions}
    if odd := [name for name in own if own[name] != task.versions[name]]:
        differences = ", ".join(f"{name} {own[name]} instead of {task.versions[name]}" for name in odd)
        raise ConfigError(
            f"{here} has {differences}, so its cells would not be those of the comparison. Install "
            f"{' '.join(f'{name}=={task.versions[name]}' for name in odd)} there, or use one environment on all nodes"
        )
    with contextlib.suppress(OSError):
        os.chdir(task.folder)


def read_cells(task: Task) -> list[Cell]:
    """Return the cells of a submission.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    file = Path(task.out) / JOBS / f"{task.attempt}.cells.jsonl"
    try:
        return [Cell.from_json(json.loads(line)) for line in read_bytes(file, _LIMIT).splitlines()]
    except (RecordError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{file} cannot be used: {error}; submit the comparison again") from error


class Job:
    """Runs cells on this machine until each is finished, has failed in this submission, or is run elsewhere.

    Args:
        task: what the job must know.
        cells: cells that this job runs at a time.
        gpus: number of CUDA devices over which the job distributes its cells; 0 to leave all devices to each cell.

    Raises:
        ConfigError: as `check_machine`.
    """

    def __init__(self, task: Task, cells: int = 1, gpus: int = 0) -> None:
        check_machine(task)
        own = read_cells(task)
        together = processes_per_cell(own)
        self.environments = [worker_environment(n, cells, gpus, together) for n in range(cells)]
        self.pool = Pool(own, Path(task.out), _print_event, attempt=task.attempt)

    def work(self) -> None:
        """Run cells; returns when none is left for this job."""
        self.pool.run(self.environments)

    def stop(self) -> None:
        """Let cells in training write a checkpoint, and end."""
        self.pool.stop()


def work(task: dict[str, Any], cells: int = 1, gpus: int = 0) -> None:
    """Run cells as `Job` does; for executors.

    Args:
        task: JSON of a `Task`.
        cells, gpus: as for `Job`.

    Raises:
        ConfigError: as `Job`.
    """
    try:
        Job(read_as(Task, task), cells, gpus).work()
    except FieldError as error:
        raise ConfigError(f"the task of a job cannot be read: {error}") from error


def _print_event(cell: Cell, event: dict[str, Any]) -> None:
    """Print the events of a cell to the job's log."""
    if event["event"] == "end":
        print(f"{cell.name}: {event['status']}{event['message'] and ': '}{event['message']}", flush=True)
    elif event["event"] == "warning":
        print(f"{cell.name}: {event['text']}", flush=True)
