"""`lossbench run --resume DIR`: a run goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..runs import layout
from ..runs.finished_run import read_run
from ..runs.lock import locked
from ..runs.options import RunConfig
from ..runs.options_file import read_options
from .checkpoints.folder import FOLDER, newest_checkpoint, remove_checkpoints, remove_leftovers
from .prepare import check_shares, prepare
from .reporter import Reporter, SilentReporter
from .run import RunResult, complete
from .training.build import build_accelerator


def resume(directory: Path, reporter: Reporter | None = None, **changed: Any) -> RunResult:
    """Goes on with a run from its newest whole checkpoint, or from its beginning where there is none.

    Args:
        directory: of the run.
        reporter: is told how it goes.
        changed: options of `Role.ANY_TIME` with other values than the run's; None leaves one as it is.

    Returns:
        The record, as `run`; of a finished run at once.

    Raises:
        UsageError: no run lies there, it is in use, its input is gone, or its checkpoint is of another one.
        RunFailed: as `run`.
    """
    began = time.perf_counter()
    reporter = reporter or SilentReporter()
    if not (directory / layout.CONFIG).is_file():
        raise CheckpointError(
            f"--resume {directory} holds no run: there is no {layout.CONFIG} in it. Expected the directory that a run "
            "named when it was interrupted"
        )
    if (directory / layout.RECORD).exists():
        return _finished(directory)
    options = read_options(directory / layout.CONFIG, str(directory / layout.CONFIG))
    config = RunConfig(**options | {name: value for name, value in changed.items() if value is not None})
    accelerator = build_accelerator(config)
    with contextlib.ExitStack() as held:
        if accelerator.is_main_process:
            held.enter_context(locked(directory))
            _remove_half_written(directory)
        if (directory / layout.RECORD).exists():  # it ended while its lock was waited for
            return _finished(directory)
        task = prepare(config, reporter)
        check_shares(task, accelerator.num_processes)
        checkpoint = newest_checkpoint(directory / FOLDER, reporter.warning)
        if checkpoint is None:
            reporter.message(f"{directory} has no checkpoint: from the beginning")
        return complete(task, accelerator, directory, reporter, began=began, checkpoint=checkpoint)


def _finished(directory: Path) -> RunResult:
    """The result, checked against its weights; checkpoints that a kill after the record left are removed."""
    record = read_run(directory).record
    remove_checkpoints(directory / FOLDER)
    return RunResult(directory, record)


def _remove_half_written(directory: Path) -> None:
    """Files that were being written beside their place when the run was killed."""
    remove_leftovers(directory / FOLDER)
    for folder in (directory, directory / FOLDER):
        for name in (layout.CONFIG, layout.HISTORY, layout.PREDICTIONS, layout.RECORD, Path(layout.WEIGHTS).name):
            for left in folder.glob(f".{name}.*"):
                left.unlink(missing_ok=True)
