"""What `record.json` says of a finished run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from .. import files
from ..machine.facts import environment
from ..runs import layout
from ..runs.options import ResolvedConfig
from .evaluation.evaluate import Predictions
from .evaluation.metrics import classification_metrics, retrieval_quality
from .prepare import Task
from .training.clock import PARTS, peak_memory_bytes
from .training.step import TrainStep
from .training.trainer import Trainer


def record_content(
    task: Task,
    step: TrainStep,
    test: Predictions,
    timing: dict[str, Any],
    accelerator: Accelerator,
    directory: Path,
    *,
    selected_epoch: int | None,
    refit: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record. Of the arguments, `test` alone is judged."""
    config = task.config
    metrics = classification_metrics(test.scores, test.targets, task.train.class_names)
    confusion = metrics.pop("confusion_matrix")
    return {
        "schema_version": layout.SCHEMA_VERSION,
        "formula": str(task.formula),
        "loss": config.loss,
        "terms": [
            {
                "name": term.name,
                "coefficient": 1.0 if term.coefficient is None else term.coefficient,
                "hyperparameters": dict(term.arguments),
            }
            for term in task.formula.terms
        ],
        "model": {
            "name": config.model,
            "weights": config.weights,
            "parameters": sum(p.numel() for p in step.model.parameters()),
            "embedding_dim": task.context.embedding_dim,
            "image_size": config.image_size,
            "preprocessing": dataclasses.replace(step.model.preprocessing, image_size=config.image_size).content(),
        },
        "weights": task.weights.content(config.weights) if task.weights else None,
        "data": _data_content(task),
        "seed": config.seed,
        "config": config.as_options(),
        "selected_epoch": selected_epoch,
        "metrics": metrics | retrieval_quality(test.embeddings, test.targets),
        "confusion_matrix": confusion,
        "refit": refit,
        "timing": timing,
        "memory": {"peak_bytes": peak_memory_bytes(accelerator.device)},
        "weights_sha256": files.file_sha256(directory / layout.WEIGHTS),
        "environment": environment(accelerator.device, accelerator.num_processes),
    }


def _data_content(task: Task) -> dict[str, Any]:
    names = task.train.class_names
    return {
        "spec": task.config.data,
        "release": task.train.details.get("release"),
        "dropped": task.train.details.get("dropped", {}),
        "box_margin": task.train.details.get("margin"),
        "subject": task.train.subject,
        "class_names": list(names),
        "training_counts": dict(zip(names, task.train.class_counts, strict=True)),
        "drawn_counts": dict(zip(names, task.context.class_counts, strict=True)),
        "test_counts": dict(zip(names, task.test.class_counts, strict=True)),
        "selection_images": 0 if task.selection is None else len(task.selection),
        "split_origin": task.split_origin,
        "train_digest": task.train.digest(),
        "test_digest": task.test.digest(),
        "skipped_unreadable": list(task.skipped),
        "notes": list(task.notes),
    }


def timing_content(trainer: Trainer, config: ResolvedConfig) -> dict[str, Any]:
    """Median seconds of the sampled steps' parts; the loss alone, forward and backward, by replay of the last batch."""
    parts = trainer.clock.medians()
    known = [seconds for seconds in parts.values() if seconds is not None]
    seconds_per_step = sum(known) if known else trainer.train_seconds / max(trainer.clock.steps, 1)
    loss_seconds = trainer.loss_seconds()
    return {
        "seconds_per_step": seconds_per_step,
        "loss_seconds_per_step": loss_seconds,
        "loss_share": loss_seconds / seconds_per_step,
        "loss_share_estimated": config.compile,
        **{f"{part}_seconds_per_step": parts[part] for part in PARTS if part != "loss"},
        "loss_forward_seconds_per_step": parts["loss"],
        "data_wait_seconds": trainer.clock.data_wait_seconds,
        "data_wait_share": trainer.clock.data_wait_seconds / trainer.train_seconds,
        "sampled_steps": trainer.clock.samples,
        "steps": trainer.clock.steps,
        "train_seconds": trainer.train_seconds,
        "images_per_second": len(trainer.batches.table) * config.epochs / trainer.train_seconds,
        "steps_skipped": trainer.guard.skipped,
    }
