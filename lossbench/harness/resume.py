"""Resume an interrupted run: `lossbench run --resume DIR`, and the cells of a grid."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..runs import layout
from ..runs.finished_run import read_run
from ..runs.lock import locked
from ..runs.options import RunConfig
from ..runs.options_file import read_options
from ..strict_files import check_within
from .checkpoints.folder import FOLDER, newest_checkpoint, remove_checkpoints, remove_leftovers
from .checkpoints.resumptions import forget_resumptions
from .finish import RunResult
from .readable_splits import Readable
from .reporter import Reporter, SteadyReporter
from .run import check_processes, complete, prepare_run
from .tracking import tracked
from .training.build import build_accelerator
from .training.clock import reset_peak_memory


def resume(directory: Path, reporter: Reporter | None = None, **changed: Any) -> RunResult:
    """Resume a run from its newest undamaged checkpoint, or from the beginning without one.

    Args:
        directory: directory of the run.
        reporter: receives progress.
        changed: options of `Role.ANY_TIME` or `Role.LOCATES_DATA` with new values; None keeps the value of the run.

    Returns:
        The record, as `run` does; immediately for a finished run.

    Raises:
        UsageError: no run is there, it is in use, its input is gone, or its checkpoint belongs to a different run.
        RunFailed: as `run`.
    """
    layout.check_unfinished(directory)
    if (directory / layout.RECORD).exists():
        return _finished(directory)
    options = read_options(directory / layout.CONFIG, str(directory / layout.CONFIG), links=False)
    config = RunConfig(**options | {name: value for name, value in changed.items() if value is not None})
    try:
        return resume_with(config, directory, reporter)
    except DataError as error:  # a share that is not mounted may leave an empty folder
        if changed.get("data"):
            raise
        raise DataError(f"{error}\nIf the data of the run has moved, add --data SPEC with its new place.") from error


def resume_with(
    config: RunConfig,
    directory: Path,
    reporter: Reporter | None = None,
    *,
    read: Callable[[RunConfig, Reporter], Readable] | None = None,
    sealed: bool = False,
) -> RunResult:
    """Resume the run in a directory with these options, which may differ from its own as `resume` allows.

    Args:
        config: options of the run.
        directory: directory of the run.
        reporter, read, sealed: as for `run`.

    Returns:
        As `resume`.

    Raises:
        UsageError, RunFailed: as `resume`.
    """
    began = time.perf_counter()
    reporter = SteadyReporter(reporter)
    accelerator = build_accelerator(config)
    reset_peak_memory(accelerator.device)
    with contextlib.ExitStack() as held:
        if accelerator.is_main_process:
            held.enter_context(locked(directory))
            if os.path.lexists(directory / FOLDER):
                check_within(directory, FOLDER)
            _remove_half_written(directory)
        if (directory / layout.RECORD).exists():  # it ended while this process waited for its lock
            return _finished(directory)
        task = prepare_run(config, reporter, read, sealed)
        check_processes(task, accelerator.num_processes)
        checkpoint = newest_checkpoint(directory / FOLDER, reporter.warning)
        if checkpoint is None:
            reporter.message(f"{directory} has no checkpoint; starting from the beginning")
        told = held.enter_context(tracked(config, accelerator, directory, reporter))
        result = complete(task, accelerator, directory, told, began=began, checkpoint=checkpoint)
        told.metrics(result.record)
        return result


def _finished(directory: Path) -> RunResult:
    """Return the record after checking it against its weights, and remove leftover checkpoints."""
    record = read_run(directory).record
    remove_checkpoints(directory / FOLDER)
    forget_resumptions(directory)
    return RunResult(directory, record)


def _remove_half_written(directory: Path) -> None:
    """Remove temporary files that were being written when the run was killed."""
    remove_leftovers(directory / FOLDER)
    for folder in (directory, directory / FOLDER):
        for name in (layout.CONFIG, layout.HISTORY, layout.PREDICTIONS, layout.RECORD, Path(layout.WEIGHTS).name):
            for left in folder.glob(f".{name}.*"):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
