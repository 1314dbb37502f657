"""`lossbench run`: from a checked task to a trained model and its record."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from safetensors.torch import save as to_safetensors

from ..data.loading import EpochBatches, ImageBatches, loader
from ..data.sampling import Sampler
from ..models.build import build_model
from ..registry import create_loss
from ..spec import Trait
from . import record as files
from .clock import PARTS, StepClock, peak_memory_bytes
from .config import RunConfig
from .evaluate import Predictions, predict, share_running_statistics
from .guard import FiniteGuard
from .metrics import classification_metrics, retrieval_quality
from .optimize import build_optimizer, build_schedule, mask_steps
from .prepare import Task, derived_seed, prepare
from .step import TrainStep
from .training import Reporter, Silent, Trainer


@dataclass(frozen=True)
class Best:
    """The epoch that the selection split likes best so far, and its weights."""

    epoch: int
    balanced_accuracy: float
    weights: dict[str, torch.Tensor]


def run(config: RunConfig, out: Path | None = None, reporter: Reporter | None = None) -> dict[str, Any]:
    """Trains, evaluates once after the last epoch, and writes the record.

    Args:
        config: the options.
        out: the run's directory; None makes a fresh one under `runs/`.
        reporter: is told how it goes.

    Returns:
        The record, with its directory under "directory".

    Raises:
        UsageError: the input is wrong; nothing was written.
        RunFailed: the run began and could not end well.
    """
    began = time.perf_counter()
    reporter = reporter or Silent()
    task = prepare(config, reporter)
    accelerator = _accelerator(task.config)
    directory = _directory(task, out, accelerator)
    for note in (*task.notes, *_not_promised(task, accelerator)):
        reporter.message(note)
    for table in filter(None, (task.train, task.selection)):
        table.prepare()
    trainer = _trainer(task, accelerator)
    step, config = trainer.step, task.config
    assert config.epochs is not None
    reporter.begin(config.epochs, config.epochs * len(trainer.batches))
    best, history = None, []
    for epoch in range(config.epochs):
        row = trainer.run_epoch(epoch, config.epochs, reporter)
        if task.selection is not None:
            row["selection_balanced_accuracy"] = score = _selection_accuracy(task, accelerator, step)
            if best is None or score > best.balanced_accuracy:
                best = Best(epoch, score, {k: v.detach().cpu().clone() for k, v in step.state_dict().items()})
        history.append(row)
        if accelerator.is_main_process:
            lines = "".join(json.dumps(line, allow_nan=False) + "\n" for line in history)
            files.write_atomically(directory / files.HISTORY, lambda file, text=lines: file.write(text.encode()))
        reporter.epoch(row)
    timing = _timing(trainer, config)
    share_running_statistics(step)
    if best is not None:
        step.load_state_dict(best.weights)
    evaluated = time.perf_counter()
    task.test.prepare()
    predictions = _predict(task, accelerator, step, "test")
    timing["evaluation_seconds"] = time.perf_counter() - evaluated
    content: dict[str, Any] = {}
    if accelerator.is_main_process:
        selection = _predict(task, accelerator, step, "selection") if accelerator.num_processes == 1 else None
        content = _write(task, directory, accelerator, step, predictions, selection, timing, best, began)
    accelerator.wait_for_everyone()
    return {**content, "directory": str(directory)}


def _accelerator(config: RunConfig) -> Accelerator:
    if config.device.startswith("cuda:"):
        os.environ["ACCELERATE_TORCH_DEVICE"] = config.device
    # Buffers differ between processes only by running batch statistics, which are shared before they are used.
    kwargs = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(
        mixed_precision=config.precision if config.precision in ("bf16", "fp16") else "no",
        cpu=config.device == "cpu",
        kwargs_handlers=[kwargs],
    )


def _directory(task: Task, out: Path | None, accelerator: Accelerator) -> Path:
    """The run's directory with its `config.toml`, made by the first process."""
    chosen = [str(out or files.fresh_directory(task.config.loss, task.config.data, task.config.seed))]
    if accelerator.num_processes > 1:
        broadcast_object_list(chosen)
    directory = Path(chosen[0])
    if accelerator.is_main_process:
        files.claim_directory(directory)
        files.write_config(directory / files.CONFIG, task.config.as_options())
    accelerator.wait_for_everyone()
    return directory


def _not_promised(task: Task, accelerator: Accelerator) -> list[str]:
    """What several processes do that one would not."""
    if accelerator.num_processes == 1:
        return []
    notes = [f"{accelerator.num_processes} processes share each batch of {task.config.batch_size}"]
    if not task.config.sync_bn:
        notes.append("batch normalisation sees each process's own rows, so results differ from one process's")
    loss = create_loss(str(task.formula), task.context)
    if Trait.SHARDABLE not in loss.traits:
        notes.append(
            f"{task.formula} is not the mean over its rows: each process forms it (triplets, for one) within its own "
            "rows, so results differ from one process's"
        )
    return notes


def _trainer(task: Task, accelerator: Accelerator) -> Trainer:
    config = task.config
    assert config.image_size and config.batch_size and config.epochs and config.lr
    model = build_model(
        config.model,
        num_classes=task.context.num_classes,
        image_size=config.image_size,
        seed=derived_seed(config.seed, "model"),
        needs=task.needs,
        pretrained=config.weights == "imagenet",
    )
    torch.manual_seed(task.context.seed)
    loss = create_loss(str(task.formula), task.context)
    clock = StepClock(accelerator.device)
    step = TrainStep(model, loss, mark=clock.mark)
    if config.sync_bn:
        step = torch.nn.SyncBatchNorm.convert_sync_batchnorm(step)
    step.to(accelerator.device, dtype=torch.float64 if config.precision == "fp64" else torch.float32)
    step.model.to(memory_format=torch.channels_last)
    guard = FiniteGuard(step, accelerator.device)
    optimizer = build_optimizer(config.optimizer, model, loss, lr=config.lr, weight_decay=config.weight_decay)
    if guard.read_every > 1 and accelerator.scaler is None:
        mask_steps(optimizer, guard.found)
    batches = EpochBatches(
        task.train,
        config.batch_size,
        seed=derived_seed(config.seed, "order"),
        sampler=Sampler(config.sampler),
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    images = ImageBatches(
        task.train, config.image_size, augment_seed=derived_seed(config.seed, "augmentation"), cache=config.cache
    )
    schedule = build_schedule(
        optimizer, steps=config.epochs * len(batches), warmup_steps=round(config.warmup_epochs * len(batches))
    )
    if config.compile:
        step.mark = lambda part: None  # a clock inside would break the graph
        step.compile()
    wrapped, prepared = accelerator.prepare(step, optimizer)
    return Trainer(
        accelerator=accelerator,
        wrapped=wrapped,
        step=step,
        optimizer=prepared,
        schedule=schedule,
        batches=batches,
        images=loader(
            images, batches, workers=config.workers, pin_memory=accelerator.device.type == "cuda"
        ),
        clock=clock,
        guard=guard,
        micro_batches=config.micro_batches,
        marks_inside=not config.compile,
    )


def _predict(task: Task, accelerator: Accelerator, step: TrainStep, split: str) -> Predictions | None:
    config = task.config
    table = task.test if split == "test" else task.selection
    if table is None:
        return None
    assert config.image_size and config.batch_size
    return predict(
        accelerator, step, table, image_size=config.image_size, batch_size=config.batch_size, workers=config.workers
    )


def _selection_accuracy(task: Task, accelerator: Accelerator, step: TrainStep) -> float:
    share_running_statistics(step)
    predictions = _predict(task, accelerator, step, "selection")
    assert predictions is not None
    metrics = classification_metrics(predictions.scores, predictions.targets, task.train.class_names)
    return float(metrics["balanced_accuracy"])


def _timing(trainer: Trainer, config: RunConfig) -> dict[str, Any]:
    parts = trainer.clock.medians()
    known = [seconds for seconds in parts.values() if seconds is not None]
    steps = trainer.clock.steps
    loss_seconds = trainer.loss_seconds()
    seconds_per_step = sum(known) if known else trainer.train_seconds / max(steps, 1)
    return {
        "seconds_per_step": seconds_per_step,
        "loss_seconds_per_step": loss_seconds,
        "loss_share": loss_seconds / seconds_per_step,
        "loss_share_estimated": config.compile,
        **{f"{part}_seconds_per_step": parts[part] for part in PARTS if part != "loss"},
        "loss_forward_seconds_per_step": parts["loss"],
        "sampled_steps": trainer.clock.samples,
        "steps": steps,
        "train_seconds": trainer.train_seconds,
        "images_per_second": len(trainer.batches.table) * (config.epochs or 0) / trainer.train_seconds,
    }


def _write(
    task: Task,
    directory: Path,
    accelerator: Accelerator,
    step: TrainStep,
    test: Predictions | None,
    selection: Predictions | None,
    timing: dict[str, Any],
    best: Best | None,
    began: float,
) -> dict[str, Any]:
    """Weights, predictions and, last, the record: a directory with a record is a finished run."""
    assert test is not None
    names = task.train.class_names
    metrics = classification_metrics(test.scores, test.targets, names)
    confusion = metrics.pop("confusion_matrix")
    metrics |= retrieval_quality(test.embeddings, test.targets)
    weights = directory / files.WEIGHTS
    state = {name: value.detach().cpu().contiguous() for name, value in step.state_dict().items()}
    files.write_atomically(weights, lambda file: file.write(to_safetensors(state)))
    arrays = {f"test_{name}": value for name, value in test._asdict().items()}
    if selection is not None:
        arrays |= {f"selection_{name}": value for name, value in selection._asdict().items()}
    centers = [value for name, value in state.items() if name.startswith("loss.") and name.endswith("centers")]
    if centers:
        arrays["centers"] = centers[0].float().numpy()
    files.write_arrays(directory / files.PREDICTIONS, arrays)
    timing["total_seconds"] = time.perf_counter() - began
    config = task.config
    content = {
        "schema_version": files.SCHEMA_VERSION,
        "formula": str(task.formula),
        "loss": config.loss,
        "terms": [
            {"name": t.name, "coefficient": 1.0 if t.coefficient is None else t.coefficient, "hyperparameters": dict(t.arguments)}
            for t in task.formula.terms
        ],
        "model": {
            "name": config.model,
            "weights": config.weights,
            "parameters": sum(p.numel() for p in step.model.parameters()),
            "embedding_dim": task.context.embedding_dim,
            "image_size": config.image_size,
        },
        "data": {
            "spec": config.data,
            "release": task.train.details.get("release"),
            "subject": task.train.subject,
            "class_names": list(names),
            "class_counts": dict(zip(names, task.train.class_counts, strict=True)),
            "sampled_class_counts": dict(zip(names, task.context.class_counts, strict=True)),
            "test_class_counts": dict(zip(names, task.test.class_counts, strict=True)),
            "selection_images": len(task.selection) if task.selection is not None else 0,
            "split_origin": task.split_origin,
            "train_digest": task.train.digest(),
            "test_digest": task.test.digest(),
            "skipped_unreadable": list(task.skipped),
            "notes": list(task.notes),
        },
        "seed": config.seed,
        "config": config.as_options(),
        "selected_epoch": best.epoch if best else None,
        "metrics": metrics,
        "confusion_matrix": confusion,
        "timing": timing,
        "memory": {"peak_bytes": peak_memory_bytes(accelerator.device)},
        "weights_sha256": files.file_sha256(weights),
        "environment": files.environment(accelerator.device, accelerator.num_processes),
    }
    files.write_json(directory / files.RECORD, content)
    return content
