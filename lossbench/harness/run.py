"""`lossbench run`: train a model from a checked task and write its record."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors.torch import save as to_safetensors
from torch import nn

from .. import files
from ..data.table import ImageTable
from ..errors import ImagesLost, Interrupted, NonFiniteError, RunFailed
from ..runs import layout
from ..runs.history import write_history
from ..runs.lock import locked
from ..runs.option import Role
from ..runs.options import RunConfig, option_names
from ..runs.options_file import read_options
from ..runs.predictions import Predictions, SplitPredictions, write_predictions
from ..runs.record import Record, write_record
from ..traits import Trait
from .checkpoints.bad_batch import write_bad_batch
from .checkpoints.belonging import identity_of
from .checkpoints.folder import FOLDER, Checkpoint, remove_checkpoints
from .checkpoints.restore import restore
from .checkpoints.saver import Best, Interval, Progress, Saver
from .evaluation.evaluate import predict, share_running_statistics
from .evaluation.metrics import classification_metrics
from .evaluation.refit import Refit, refit, refit_rows
from .evaluation.training_fit import training_fit
from .prepare import Task, check_loading, check_shares, prepare
from .readable_splits import Readable
from .record_content import record_of_run, timing_of
from .reporter import Reporter, SteadyReporter
from .training.build import build_accelerator, build_trainer
from .training.clock import reset_peak_memory
from .training.failures import explained
from .training.signals import StopSignals, stopped_by
from .training.step import TrainStep
from .training.trainer import Trainer

_SAID_SKIPS = 5


class RunResult(NamedTuple):
    """A finished run.

    Attributes:
        directory: where its files are.
        record: content of `record.json`; None in all but the first of several processes.
    """

    directory: Path
    record: Record | None

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready, with its directory."""
        return {**(self.record.to_json() if self.record else {}), "directory": str(self.directory)}


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
        read: how the data is read; None for `prepare.read_splits`.
        sealed: whether to evaluate on the selection split instead of the test split, as tuning does.

    Returns:
        The record and its directory; of several processes, all but the first get the directory alone.

    Raises:
        UsageError: the input is wrong; nothing was written.
        RunFailed: the run began and could not end well.
    """
    began = time.perf_counter()
    reporter = SteadyReporter(reporter)
    task = prepare(config, reporter, read)
    if sealed:
        assert task.selection is not None
        task = dataclasses.replace(task, test=task.selection, split_origin="the selection split, for tuning")
    accelerator = build_accelerator(task.config)
    reset_peak_memory(accelerator.device)
    check_shares(task, accelerator.num_processes)
    check_loading(task, accelerator.num_processes)
    with _claimed(task, out, accelerator) as directory:
        return complete(task, accelerator, directory, reporter, began=began)


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
        failures = explained(task.config, lambda: progress.where(trainer), lambda: _coupled(trainer), directory)
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
            task = dataclasses.replace(task, notes=(*task.notes, *_not_promised(task, trainer)))
            if task.config.compile:
                reporter.message("compiling the training step: the first step takes a minute or more")
            for note in task.notes:
                reporter.message(note)
            if checkpoint is not None:
                restore(checkpoint, trainer, saver, task.config.epochs, reporter)
                if accelerator.is_main_process:
                    _remember_place(task.config, directory)
            _train(task, trainer, saver, signals, directory, reporter)
            if signals.received or saver.is_due_before_evaluation():
                saver.write()
            with signals.at_once():
                return _evaluate(task, trainer, saver, directory)
    except SystemExit as error:
        raise RunFailed(
            f"the run ended at {progress.where(trainer)}: code that it runs, such as a loss, called exit "
            f"({error.code!r}), so {directory} has no record"
        ) from error
    except Interrupted as error:
        signal_number = error.exit_code - 128
        raise Interrupted(f"{error}; resume with: lossbench run --resume {directory}", signal_number) from error
    finally:
        if trainer is not None:
            trainer.images.close()


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


def _train(
    task: Task, trainer: Trainer, saver: Saver, signals: StopSignals, directory: Path, reporter: Reporter
) -> None:
    """Train the remaining epochs, each with a line in the history, and keep the best epoch if the run selects."""
    progress, epochs = saver.progress, task.config.epochs
    reporter.begin(epochs, epochs * len(trainer.batches) - trainer.steps_taken(progress.epoch))

    def after_step() -> float:
        if trainer.guard.skips and trainer.guard.skipped_in_a_row:
            _report_skipped(task, trainer, progress, directory, reporter)
        seconds, stop = saver.after_step()
        if stop:
            raise stopped_by(stop, progress.where(trainer))
        return seconds

    @contextlib.contextmanager
    def kept() -> Iterator[None]:
        """End with a checkpoint when no step is under way in any process."""
        try:
            yield
        except (Interrupted, ImagesLost) as error:
            if alone:
                signals.announce_checkpoint()
                saver.write()
            if isinstance(error, Interrupted):
                raise stopped_by(error.exit_code - 128, progress.where(trainer)) from error
            raise

    alone = trainer.accelerator.num_processes == 1
    # Several processes agree on a signal after a step; a wait for batches ends for all of them by its time limit.
    waiting = signals.at_once if alone else contextlib.nullcontext
    while progress.epoch < epochs:
        try:
            with kept():
                row = trainer.run_epoch(progress.epoch, epochs, reporter, after_step, waiting)
        except NonFiniteError as error:
            bundle = write_bad_batch(directory, task, trainer, str(error))
            raise NonFiniteError(
                f"{error}{f'. Inspect the batch with: lossbench replay {bundle}' if bundle else ''}"
            ) from error
        if task.selection is not None:
            with kept(), waiting():
                score = _judge(task, task.selection, trainer, progress)
            row = dataclasses.replace(row, selection_balanced_accuracy=score)
        trainer.end_epoch()
        progress.rows.append(row)
        progress.epoch += 1
        if trainer.accelerator.is_main_process:
            saver.place.check()
            write_history(directory, progress.rows)
        reporter.epoch(row)


def _report_skipped(task: Task, trainer: Trainer, progress: Progress, directory: Path, reporter: Reporter) -> None:
    """Report the first skipped steps, and write the batch of the first one."""
    skipped = trainer.guard.skipped
    if skipped == 1:
        bundle = write_bad_batch(directory, task, trainer, f"skipped at {progress.where(trainer)}")
        reporter.warning(
            f"{progress.where(trainer)} was non-finite and skipped; inspect its batch with: lossbench replay {bundle}"
        )
    elif skipped <= _SAID_SKIPS:
        more = "; further ones are only counted in the record" if skipped == _SAID_SKIPS else ""
        reporter.warning(f"{progress.where(trainer)} was non-finite and skipped{more}")


def _judge(task: Task, selection: ImageTable, trainer: Trainer, progress: Progress) -> float:
    """Return balanced accuracy on the selection split, and keep the best epoch if the run selects."""
    share_running_statistics(trainer.step)
    predicted = _predict(selection, task, trainer)
    metrics = classification_metrics(predicted.scores, predicted.targets, task.train.class_names)
    score = float(metrics["balanced_accuracy"])
    if task.config.select and (progress.best is None or score > progress.best.balanced_accuracy):
        weights = {k: v.detach().cpu().clone() for k, v in trainer.step.state_dict().items()}
        progress.best = Best(progress.epoch, score, weights)
    return score


def _evaluate(task: Task, trainer: Trainer, saver: Saver, directory: Path) -> RunResult:
    """Evaluate the trained or best model on the test split, and write the files of a finished run."""
    accelerator, best = trainer.accelerator, saver.progress.best
    timing = timing_of(trainer, task.config, total_seconds=0.0)
    share_running_statistics(trainer.step)
    if best is not None:
        trainer.step.load_state_dict(best.weights)
    evaluated = time.perf_counter()
    task.test.prepare()
    test = _predict(task.test, task, trainer)
    evaluation_seconds = time.perf_counter() - evaluated
    selection = None if task.selection is None else _predict(task.selection, task, trainer)
    seen = _predict_training(task, trainer)
    record = None
    if accelerator.is_main_process:
        saver.place.check()
        _write_weights(directory, trainer.step)
        fitted = refit(seen.vectors, seen.targets, test.vectors, task.context.num_classes)
        _write_predictions(directory, trainer.step, test, selection, fitted, task.train.class_names)
        timing = dataclasses.replace(
            timing,
            evaluation_seconds=evaluation_seconds,
            total_seconds=saver.seconds(),
            checkpoints=saver.progress.checkpoints,
            checkpoint_seconds=saver.progress.checkpoint_seconds,
            resumed=saver.progress.resumed,
        )
        record = record_of_run(
            task,
            trainer.step,
            test,
            timing,
            accelerator,
            directory,
            selected_epoch=best.epoch if best else None,
            refit=fitted.facts() if fitted else None,
            training=training_fit(seen),
        )
        saver.place.check()
        write_record(directory, record)  # last: a directory with a record is a finished run
        remove_checkpoints(directory / FOLDER)
    accelerator.wait_for_everyone()
    return RunResult(directory, record)


def _predict(table: ImageTable, task: Task, trainer: Trainer) -> SplitPredictions:
    config = task.config
    return predict(
        trainer.accelerator,
        trainer.step,
        table,
        image_size=config.image_size,
        batch_size=config.batch_size,
        workers=config.workers,
    )


def _predict_training(task: Task, trainer: Trainer) -> SplitPredictions:
    """Return predictions for training images without augmentation."""
    return _predict(task.train.subset(refit_rows(task.train.targets, task.config.seed)), task, trainer)


def _not_promised(task: Task, trainer: Trainer) -> list[str]:
    """Return notes on what micro-batches and several processes change, compared with one process and whole batches."""
    processes, parts = trainer.accelerator.num_processes, task.config.micro_batches
    coupled = _coupled(trainer)
    notes = []
    if parts > 1 and coupled:
        notes.append(
            f"--micro-batches {parts} changes the objective: {', '.join(coupled)} depends on which rows of a batch are "
            "together, and each micro-batch is computed by itself"
        )
    if processes == 1:
        return notes
    notes.append(f"{processes} processes share each batch of {task.config.batch_size}")
    has_batch_statistics = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in trainer.step.modules())
    if has_batch_statistics and not task.config.sync_bn:
        notes.append("batch normalization uses each process's own rows; results differ from those of one process")
    notes += [
        f"{name} is computed by each process on its own rows (only pairs and triplets within one process); results "
        "differ from those of one process"
        for name in coupled
    ]
    return notes


def _coupled(trainer: Trainer | None) -> list[str]:
    """Return the terms whose value is not the mean of the values of equal parts of a batch."""
    terms = trainer.step.loss.terms() if trainer else ()
    return [term.name for term in terms if Trait.SHARDABLE not in term.loss.traits]


def _write_weights(directory: Path, step: TrainStep) -> None:
    state = {name: value.detach().cpu().contiguous() for name, value in step.state_dict().items()}
    path = directory / layout.WEIGHTS
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise files.not_written(path, error) from error
    files.write_atomically(path, lambda file: file.write(to_safetensors(state)), make_directory=False)


def _write_predictions(
    directory: Path,
    step: TrainStep,
    test: SplitPredictions,
    selection: SplitPredictions | None,
    fitted: Refit | None,
    class_names: tuple[str, ...],
) -> None:
    centers = [b for name, b in step.loss.named_buffers() if name.rpartition(".")[2] == "centers"]
    predictions = Predictions(
        test=test,
        selection=selection,
        refit_scores=None if fitted is None else fitted.scores,
        centers=centers[0].cpu().float().numpy() if centers else None,
        class_names=np.array(class_names, dtype=np.str_),
    )
    write_predictions(directory, predictions)
