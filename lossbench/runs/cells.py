"""One cell of a grid: a run under one loss, sampler and seed, where it lies, and who is at work on it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .. import files
from ..errors import RecordError
from ..strict_files import read_bytes
from . import layout
from .grid_file import GridCell, entrant_name
from .json_text import FieldError, parse
from .option import Role
from .options import RunConfig, option_names
from .record import read_record
from .typed_json import read_as

FAILURE, CELLS, TRIALS = "failure.json", "cells", "trials"
_FAILURE_LIMIT = 2**20  # bytes
DONE, FAILED, DIVERGED, BUSY, MISSING = "done", "failed", "diverged", "busy", "missing"
FULL = "full"  # the disk of the machine is full: the cell can be run there later, or elsewhere


@dataclass(frozen=True)
class _Failure:
    """What `failure.json` must hold."""

    status: str
    message: str
    attempt: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A run that a grid wants.

    Attributes:
        loss: as written.
        copy: 2 for the second run of a loss that is listed twice, and so on.
        processes: number of processes that train it together.
        config: its options, seed and sampler among them.
        matters: whatever else its result depends on: versions, the data's digest, the second copy's number.
        sealed: a trial, which leaves the test split alone.
    """

    loss: str
    config: RunConfig
    matters: dict[str, Any]
    sealed: bool = False
    copy: int = 1
    processes: int = 1

    @property
    def entrant(self) -> str:
        """Name of the loss in the comparison."""
        return entrant_name(self.loss, self.copy)

    @property
    def in_grid(self) -> GridCell:
        """What `compare.json` holds of it."""
        own = self.config
        return GridCell(
            loss=self.loss, copy=self.copy, sampler=own.sampler, seed=own.seed, fold=own.fold, name=self.name
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that matters."""
        no_effect = option_names(Role.NO_EFFECT)
        options = {name: value for name, value in self.config.as_options().items() if name not in no_effect}
        together = [self.processes] if self.processes > 1 else []
        told = json.dumps([options, self.matters, self.sealed, *together], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @cached_property
    def name(self) -> str:
        """Of its directory: readable, and another one for everything that matters."""
        fold = f"f{self.config.fold}" if self.config.fold else ""
        parts = (files.plain(self.entrant), self.config.sampler, f"s{self.config.seed}", fold, self.digest[:10])
        return "-".join(part for part in parts if part)

    def place(self, out: Path) -> Path:
        """Its directory within a grid's."""
        return out / (TRIALS if self.sealed else CELLS) / self.name

    def to_json(self) -> dict[str, Any]:
        """For a file or another process."""
        return {**asdict(self), "config": self.config.as_options()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Cell:
        """The cell of `to_json`."""
        return cls(**{**content, "config": RunConfig(**content["config"])})


def state(directory: Path) -> tuple[str, str]:
    """What became of a cell, and the message of one that came to no good end.

    A cell that diverged would do so again and is final; one that failed otherwise may fare better the next time.
    """
    if os.path.lexists(directory / layout.RECORD):
        return DONE, ""
    if not os.path.lexists(directory / FAILURE):
        return MISSING, ""
    content = _read_failure(directory)
    return (DIVERGED if content.status == DIVERGED else FAILED), content.message


def settled(directory: Path, attempt: str = "") -> tuple[str, str] | None:
    """Return status and message of a cell that is not to be run again; None for one that is.

    Args:
        directory: directory of the cell.
        attempt: name of a submission; a cell that failed in it is not run again in it.
    """
    status, message = state(directory)
    if status in (DONE, DIVERGED):
        return status, message
    if status == FAILED and attempt and _read_failure(directory).attempt == attempt:
        return status, message
    return None


def _read_failure(directory: Path) -> _Failure:
    try:
        return read_as(_Failure, parse(read_bytes(directory / FAILURE, _FAILURE_LIMIT)))
    except (RecordError, FieldError) as error:
        return _Failure(FAILED, f"the reason cannot be read: {error}")


def trial_score(directory: Path) -> float | None:
    """Return the selection accuracy of a finished trial; None if it failed or its record cannot be read."""
    if state(directory)[0] != DONE:
        return None
    try:
        return read_record(directory).trial_score
    except RecordError:
        return None


def write_failure(directory: Path, status: str, message: str, config: RunConfig, attempt: str = "") -> None:
    """Leave the reason where the record would be; on a full disk it cannot, and whoever watches knows it anyway."""
    with contextlib.suppress(OSError, ValueError):
        content = {"status": status, "message": message, "attempt": attempt, "config": config.as_options()}
        directory.mkdir(exist_ok=True)
        files.write_json(directory / FAILURE, content, make_directory=False)


@contextlib.contextmanager
def claim(directory: Path) -> Iterator[bool]:
    """Holds a cell for this process while it works on it; false where another one does.

    The operating system lets go of the claim when the process ends, however it ends.
    """
    directory.parent.mkdir(exist_ok=True)  # within the grid: one that was removed is not made again
    file = directory.with_name(f".{directory.name}.claim")
    for place in (directory.parent, directory, file):
        if place.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link, and nothing is written through links", str(place))
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def clear(directory: Path) -> None:
    """Remove what an interrupted or failed cell left, so that it can be run from the beginning."""
    if directory.exists() and not os.path.lexists(directory / layout.RECORD):
        shutil.rmtree(directory)


def checkpoint_step(directory: Path) -> int:
    """Return the optimizer steps of a cell's newest checkpoint; 0 without one."""
    try:
        names = os.listdir(directory / Path(layout.WEIGHTS).parent)
    except OSError:
        return 0
    return max((int(name[5:]) for name in names if name.startswith("step-") and name[5:].isdecimal()), default=0)
