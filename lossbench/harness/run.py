"""`lossbench run`: train a model from a checked task and write its record."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from ..errors import Interrupted, RunFailed
from ..registry import object_names
from ..runs import layout
from ..runs.lock import locked
from ..runs.option import Role
from ..runs.options import RunConfig, option_names
from ..runs.options_file import read_options
from ..what_is import quote
from .batch_parts import coupled_terms, notes_on_parts
from .checkpoints.belonging import identity_of
from .checkpoints.folder import Checkpoint
from .checkpoints.progress import Progress
from .checkpoints.restore import restore
from .checkpoints.saver import Interval, Saver
from .checks import check_gradients, check_loading, check_shares
from .epochs import train_epochs
from .finish import RunResult, finish
from .prepare import prepare
from .readable_splits import Readable
from .reporter import Reporter, SteadyReporter
from .task import Task
from .tracking import tracked
from .training.build import build_accelerator, build_trainer
from .training.clock import reset_peak_memory
from .training.failures import explained
from .training.signals import StopSignals


def run(
    config: RunConfig,
    out: Path | None = None,
    reporter: Reporter | None = None,
    *,
    read: Callable[[RunConfig, Reporter], Readable] | None = None,
    sealed: bool = False,
) -> RunResult:
    """Trains, evaluates once after the last epoch, and writes the record.

    Args:
        config: the options.
        out: the run's directory; None makes a fresh one under `runs/`.
        reporter: is told how it goes.
        read: how the data is read; None for `readable_splits.read_splits`.
        sealed: whether to evaluate on the selection split instead of the test split, as tuning does.

    Returns:
        The record and its directory; of several processes, all but the first get the directory alone.

    Raises:
        UsageError: the input is wrong; nothing was written.
        RunFailed: the run began and could not end well.
    """
    began = time.perf_counter()
    reporter = SteadyReporter(reporter)
    task = prepare_run(config, reporter, read, sealed)
    accelerator = build_accelerator(task.config)
    reset_peak_memory(accelerator.device)
    check_processes(task, accelerator.num_processes)
    with _claimed(task, out, accelerator) as directory, tracked(config, accelerator, directory, reporter) as told:
        result = complete(task, accelerator, directory, told, began=began)
        told.metrics(result.record)
        return result


def prepare_run(
    config: RunConfig, reporter: Reporter, read: Callable[[RunConfig, Reporter], Readable] | None, sealed: bool
) -> Task:
    """Return the checked task of a run; of a sealed one, with the selection split in place of the test split."""
    task = prepare(config, reporter, read)
    if not sealed:
        return task
    assert task.selection is not None
    return dataclasses.replace(task, test=task.selection, split_origin="the selection split, for tuning")


def check_processes(task: Task, processes: int) -> None:
    """Check what a run needs from its machine and its batches with this number of processes."""
    check_shares(task, processes)
    check_gradients(task, processes)
    check_loading(task, processes)


def complete(
    task: Task,
    accelerator: Accelerator,
    directory: Path,
    reporter: Reporter,
    *,
    began: float,
    checkpoint: Checkpoint | None = None,
) -> RunResult:
    """Complete a run in its claimed directory and write its record.

    Args:
        task: checked task.
        accelerator: accelerator of the task.
        directory: directory with the run's `config.toml`.
        reporter: receives progress.
        began: start of this process's part of the run, by `time.perf_counter`.
        checkpoint: checkpoint to resume from; None to start from the beginning.

    Returns:
        As `run`.

    Raises:
        RunFailed: as `run`.
    """
    signals = StopSignals(reporter.message)
    progress = Progress()
    trainer = None
    try:
        failures = explained(task.config, lambda: progress.where(trainer), lambda: coupled_terms(trainer), directory)
        with signals.listening(), failures:
            with signals.at_once():
                task.train.prepare()
                trainer = build_trainer(task, accelerator)
            saver = Saver(
                directory,
                identity_of(task, accelerator.num_processes, accelerator.device),
                Interval.parse(task.config.checkpoint_every),
                trainer,
                progress,
                stop_signal=lambda: signals.received,
                began=began,
            )
            task = dataclasses.replace(task, notes=(*task.notes, *notes_on_parts(task, trainer)))
            if task.config.compile:
                reporter.message("compiling the training step: the first step takes a minute or more")
            for note in task.notes:
                reporter.message(note)
            if checkpoint is not None:
                restore(checkpoint, trainer, saver, task.config.epochs, reporter)
                if accelerator.is_main_process:
                    _remember_place(task.config, directory)
            train_epochs(task, trainer, saver, signals, directory, reporter)
            if signals.received or saver.is_due_before_evaluation():
                saver.write()
            with signals.at_once():
                return finish(task, trainer, saver, directory, reporter)
    except SystemExit as error:
        raise RunFailed(
            f"the run ended at {progress.where(trainer)}: code that it runs, such as a loss, called exit "
            f"({error.code!r}), so {directory} has no record"
        ) from error
    except Interrupted as error:
        signal_number = error.exit_code - 128
        again = f"{quote(directory)}{_loss_again(task.config)}"
        raise Interrupted(f"{error}; resume with: lossbench run --resume {again}", signal_number) from error
    finally:
        if trainer is not None:
            trainer.images.close()


def _loss_again(config: RunConfig) -> str:
    """Return the option that names the files of a loss again, which a resumed run does not import by itself."""
    objects = object_names(config.loss)
    return f" --loss {quote(' + '.join(objects))}" if objects else ""


def _remember_place(config: RunConfig, directory: Path) -> None:
    """Write where the data of a resumed run is now, so that it need not be said again."""
    path = directory / layout.CONFIG
    before = read_options(path, str(path), links=False)
    now = {name: value for name, value in config.values(Role.LOCATES_DATA).items() if value is not None}
    if now != {name: before[name] for name in option_names(Role.LOCATES_DATA) if name in before}:
        layout.write_config(path, before | now)


@contextlib.contextmanager
def _claimed(task: Task, out: Path | None, accelerator: Accelerator) -> Iterator[Path]:
    """Yield the run's directory with its `config.toml`, created and locked by the first process."""
    config, chosen = task.config, [""]
    with contextlib.ExitStack() as held:
        if accelerator.is_main_process:
            fresh = (
                layout.claim_directory(out) if out else layout.fresh_directory(config.loss, config.data, config.seed)
            )
            held.enter_context(locked(fresh))
            layout.write_config(fresh / layout.CONFIG, config.as_options())
            chosen = [str(fresh)]
        if accelerator.num_processes > 1:
            broadcast_object_list(chosen)
        yield Path(chosen[0])
