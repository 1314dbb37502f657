"""`lossbench run`: from a checked task to a trained model and its record."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from ..data.table import ImageTable, Int64Array
from ..registry import loss_info
from ..spec import Trait
from . import record as files
from .assembly import build_accelerator, build_trainer
from .clock import reset_peak_memory
from .config import RunConfig
from .content import record_content, timing_content
from .evaluate import Predictions, predict, share_running_statistics
from .metrics import classification_metrics
from .prepare import Readable, Task, check_shares, prepare
from .refit import MOST_CLASSES, Refit, refit, refit_rows
from .step import TrainStep
from .training import Reporter, Silent, Trainer


@dataclass(frozen=True)
class Best:
    """The epoch that the selection split likes best so far, and its weights."""

    epoch: int
    balanced_accuracy: float
    weights: dict[str, Tensor]


def run(
    config: RunConfig,
    out: Path | None = None,
    reporter: Reporter | None = None,
    *,
    read: Callable[[RunConfig, Reporter], Readable] | None = None,
    sealed: bool = False,
) -> dict[str, Any]:
    """Trains, evaluates once after the last epoch, and writes the record.

    Args:
        config: the options.
        out: the run's directory; None makes a fresh one under `runs/`.
        reporter: is told how it goes.
        read: how the data is read; None for `prepare.read_splits`.
        sealed: leave the evaluation split alone, and let the selection split stand in its place: for tuning.

    Returns:
        The record, with its directory under "directory"; of several processes, all but the first get the
        directory alone.

    Raises:
        UsageError: the input is wrong; nothing was written.
        RunFailed: the run began and could not end well.
    """
    began = time.perf_counter()
    reporter = reporter or Silent()
    task = prepare(config, reporter, read)
    if sealed:
        assert task.selection is not None
        task = dataclasses.replace(task, test=task.selection, split_origin="the selection split, for tuning")
    accelerator = build_accelerator(task.config)
    reset_peak_memory(accelerator.device)
    check_shares(task, accelerator.num_processes)
    directory = _claim(task, out, accelerator)
    task.train.prepare()
    trainer = build_trainer(task, accelerator)
    for note in (*task.notes, *_not_promised(task, trainer)):
        reporter.message(note)
    best = _train(task, trainer, directory, reporter)
    timing = timing_content(trainer, task.config)
    share_running_statistics(trainer.step)
    if best is not None:
        trainer.step.load_state_dict(best.weights)
    evaluated = time.perf_counter()
    task.test.prepare()
    test = _predict(task.test, task, trainer)
    timing["evaluation_seconds"] = time.perf_counter() - evaluated
    selection = None if task.selection is None else _predict(task.selection, task, trainer)
    frozen = _predict_training(task, trainer)
    content: dict[str, Any] = {}
    if accelerator.is_main_process:
        _write_weights(directory, trainer.step)
        fitted = None if frozen is None else refit(*frozen, test.embeddings, task.context.num_classes)
        _write_predictions(directory, trainer.step, test, selection, fitted)
        timing["total_seconds"] = time.perf_counter() - began
        content = record_content(
            task,
            trainer.step,
            test,
            timing,
            accelerator,
            directory,
            selected_epoch=best.epoch if best else None,
            refit=fitted.content() if fitted else None,
        )
        # Last: a directory with a record is a finished run.
        files.write_json(directory / files.RECORD, content)
    accelerator.wait_for_everyone()
    return {**content, "directory": str(directory)}


def _claim(task: Task, out: Path | None, accelerator: Accelerator) -> Path:
    """The run's directory with its `config.toml`, made by the first process."""
    chosen = [""]
    if accelerator.is_main_process:
        config = task.config
        directory = files.claim_directory(out) if out else files.fresh_directory(config.loss, config.data, config.seed)
        files.write_config(directory / files.CONFIG, config.as_options())
        chosen = [str(directory)]
    if accelerator.num_processes > 1:
        broadcast_object_list(chosen)
    return Path(chosen[0])


def _train(task: Task, trainer: Trainer, directory: Path, reporter: Reporter) -> Best | None:
    """All epochs, each with a line in the history; the best by the selection split, where the run selects."""
    epochs = task.config.epochs
    reporter.begin(epochs, epochs * len(trainer.batches))
    best, history = None, ""
    for epoch in range(epochs):
        row = trainer.run_epoch(epoch, epochs, reporter)
        if task.selection is not None:
            share_running_statistics(trainer.step)
            selection = _predict(task.selection, task, trainer)
            metrics = classification_metrics(selection.scores, selection.targets, task.train.class_names)
            row["selection_balanced_accuracy"] = score = float(metrics["balanced_accuracy"])
            if task.config.select and (best is None or score > best.balanced_accuracy):
                best = Best(epoch, score, {k: v.detach().cpu().clone() for k, v in trainer.step.state_dict().items()})
        history += json.dumps(row, allow_nan=False) + "\n"
        if trainer.accelerator.is_main_process:
            files.write_text(directory / files.HISTORY, history)
        reporter.epoch(row)
    return best


def _predict(table: ImageTable, task: Task, trainer: Trainer) -> Predictions:
    config = task.config
    return predict(
        trainer.accelerator,
        trainer.step,
        table,
        image_size=config.image_size,
        batch_size=config.batch_size,
        workers=config.workers,
    )


def _predict_training(task: Task, trainer: Trainer) -> tuple[npt.NDArray[Any], Int64Array] | None:
    """Embeddings and targets of training images as evaluation sees them, for the refit; None for too many classes."""
    if task.context.num_classes > MOST_CLASSES:
        return None
    seen = _predict(task.train.subset(refit_rows(task.train.targets, task.config.seed)), task, trainer)
    return seen.embeddings, seen.targets


def _not_promised(task: Task, trainer: Trainer) -> list[str]:
    """What several processes do that one would not."""
    processes = trainer.accelerator.num_processes
    if processes == 1:
        return []
    notes = [f"{processes} processes share each batch of {task.config.batch_size}"]
    has_batch_statistics = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in trainer.step.modules())
    if has_batch_statistics and not task.config.sync_bn:
        notes.append("batch normalisation sees each process's own rows: results differ from one process's")
    for term in task.formula.terms:
        if Trait.SHARDABLE not in loss_info(term.name).factory(task.context, **term.arguments).traits:
            notes.append(
                f"{term.name} is formed by each process within its own rows (only pairs and triplets of one process "
                "meet): results differ from one process's"
            )
    return notes


def _write_weights(directory: Path, step: TrainStep) -> None:
    state = {name: value.detach().cpu().contiguous() for name, value in step.state_dict().items()}
    files.write_atomically(directory / files.WEIGHTS, lambda file: file.write(to_safetensors(state)))


def _write_predictions(
    directory: Path, step: TrainStep, test: Predictions, selection: Predictions | None, fitted: Refit | None
) -> None:
    arrays = {f"test_{name}": value for name, value in test._asdict().items()}
    if fitted is not None:
        arrays["test_refit_scores"] = fitted.scores
    if selection is not None:
        arrays |= {f"selection_{name}": value for name, value in selection._asdict().items()}
    centers = [b for name, b in step.loss.named_buffers() if name.rpartition(".")[2] == "centers"]
    if centers:
        arrays["centers"] = centers[0].cpu().float().numpy()
    files.write_arrays(directory / files.PREDICTIONS, arrays)
