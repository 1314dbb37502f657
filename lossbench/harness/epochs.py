"""The epochs of a run: training, the selection split, checkpoints, and a line of history for each."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from ..data.table import ImageTable
from ..errors import ImagesLost, Interrupted, NonFiniteError
from ..runs.history import write_history
from ..what_is import quote
from .checkpoints.bad_batch import write_bad_batch
from .checkpoints.progress import Best, Progress
from .checkpoints.saver import Saver
from .evaluation.evaluate import predict_split, share_running_statistics
from .evaluation.metrics import classification_metrics
from .reporter import Reporter
from .task import Task
from .training.average import averaged
from .training.signals import StopSignals, stopped_by
from .training.trainer import Trainer

_SAID_SKIPS = 5


def train_epochs(
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
                f"{error}{f'. Inspect the batch with: lossbench replay {quote(bundle)}' if bundle else ''}"
            ) from error
        if task.selection is not None:
            with kept(), waiting():
                score = _judge(task, task.selection, trainer, progress, reporter)
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
        inspect = f"; inspect its batch with: lossbench replay {quote(bundle)}" if bundle else ""
        reporter.warning(f"{progress.where(trainer)} was non-finite and skipped{inspect}")
    elif skipped <= _SAID_SKIPS:
        more = "; further ones are only counted in the record" if skipped == _SAID_SKIPS else ""
        reporter.warning(f"{progress.where(trainer)} was non-finite and skipped{more}")


def _judge(task: Task, selection: ImageTable, trainer: Trainer, progress: Progress, reporter: Reporter) -> float:
    """Return balanced accuracy on the selection split, and keep the best epoch if the run selects."""
    with averaged(trainer.step.model, trainer.average):
        share_running_statistics(trainer.step)
        predicted = predict_split(selection, task, trainer, reporter)
        evaluated = trainer.step.state_dict()
        weights = {k: v.detach().cpu().clone() for k, v in evaluated.items()} if task.config.select else {}
    metrics = classification_metrics(predicted.scores, predicted.targets, task.train.class_names)
    score = float(metrics["balanced_accuracy"])
    if task.config.select and (progress.best is None or score > progress.best.balanced_accuracy):
        progress.best = Best(progress.epoch, score, weights)
    return score
