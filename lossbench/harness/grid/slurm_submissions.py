"""What a grid's directory holds of the jobs that were submitted to Slurm and not collected yet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ... import files
from ...errors import ConfigError, RecordError
from ...runs.json_text import FieldError, parse
from ...runs.typed_json import read_as
from ...strict_files import read_bytes
from .job import JOBS, remove_task

_STATE, _LOGS = "slurm.json", "slurm"
_LIMIT = 64 * 2**20  # bytes
_AFTERMATH = "srun: error: "  # that a program exited, after the program has said why


@dataclass(frozen=True)
class Submission:
    """Content of `jobs/slurm.json`.

    Attributes:
        attempt: name of the submission.
        jobs: numbers of its jobs or job arrays.
        cells: names of its cells.
    """

    attempt: str
    jobs: tuple[str, ...]
    cells: tuple[str, ...]


def write_submission(out: Path, submission: Submission) -> None:
    """Write the submission of a grid."""
    files.write_json(_file(out), asdict(submission))


def read_submission(out: Path) -> Submission | None:
    """Return the submission of a grid that was not collected yet.

    Raises:
        ConfigError: its file is damaged.
    """
    file = _file(out)
    if not os.path.lexists(file):
        return None
    try:
        found = read_as(Submission, parse(read_bytes(file, _LIMIT)))
        return replace(found, jobs=tuple(str(int(job)) for job in found.jobs))
    except (RecordError, FieldError, ValueError) as error:
        raise ConfigError(f"{file} is damaged ({error}); remove it, and the cells are submitted again") from error


def forget(out: Path, submission: Submission) -> None:
    """Remove the files of a submission whose jobs have ended."""
    _file(out).unlink(missing_ok=True)
    remove_task(out, submission.attempt)


def logs(out: Path) -> Path:
    """Return the directory of the jobs' logs."""
    return out.absolute() / JOBS / _LOGS


def last_words(out: Path, jobs: Sequence[str]) -> str:
    """Return the last line of the newest error log, or what it means that there is none."""
    folder = logs(out)
    found = [log for job in jobs for log in folder.glob(f"{job}*_log.err") if log.is_file() and not log.is_symlink()]
    for log in sorted(found, key=lambda log: log.stat().st_mtime, reverse=True):
        with contextlib.suppress(RecordError):
            lines = [line for line in read_bytes(log, _LIMIT).decode(errors="replace").splitlines() if line.strip()]
            errors = [line for line in lines if "error" in line.lower() and not line.startswith(_AFTERMATH)]
            if lines:
                return f"{(errors or lines)[-1].strip()} (see {log})"
    return f"the jobs left no log in {folder}; they may have been cancelled, or the nodes do not share this directory"


def _file(out: Path) -> Path:
    return out.absolute() / JOBS / _STATE
