"""The end of a run: evaluate the trained model and write the files of a finished run."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.torch import save as to_safetensors

from .. import files
from ..runs import layout
from ..runs.predictions import Predictions, SplitPredictions, write_predictions
from ..runs.record import Record, write_record
from .checkpoints.folder import FOLDER, remove_checkpoints
from .checkpoints.resumptions import forget_resumptions
from .checkpoints.saver import Saver
from .evaluation.evaluate import predict_split, share_running_statistics
from .evaluation.refit import MOST_IMAGES, MOST_SCORES, Refit, refit, refit_rows
from .evaluation.training_fit import training_fit
from .record_content import record_of_run, timing_of
from .reporter import Reporter
from .task import Task
from .training.step import TrainStep
from .training.trainer import Trainer


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


def finish(task: Task, trainer: Trainer, saver: Saver, directory: Path, reporter: Reporter) -> RunResult:
    """Evaluate the trained or best model on the test split, and write the files of a finished run."""
    accelerator, best = trainer.accelerator, saver.progress.best
    timing = timing_of(trainer, task.config, total_seconds=0.0)
    if trainer.average is not None:
        trainer.step.model.load_state_dict(trainer.average.module.state_dict())
    share_running_statistics(trainer.step)
    if best is not None:
        trainer.step.load_state_dict(best.weights)
    evaluated = time.perf_counter()
    task.test.prepare()
    test = predict_split(task.test, task, trainer, reporter)
    evaluation_seconds = time.perf_counter() - evaluated
    selection = None if task.selection is None else predict_split(task.selection, task, trainer, reporter)
    seen = _predict_training(task, trainer, reporter)
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
        forget_resumptions(directory)
    accelerator.wait_for_everyone()
    return RunResult(directory, record)


def _predict_training(task: Task, trainer: Trainer, reporter: Reporter) -> SplitPredictions:
    """Return predictions for training images without augmentation."""
    most = max(1, min(MOST_IMAGES, MOST_SCORES // task.context.num_classes))
    rows = refit_rows(task.train.targets, task.config.seed, most)
    return predict_split(task.train.subset(rows), task, trainer, reporter)


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
