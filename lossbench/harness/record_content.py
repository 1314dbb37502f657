"""Building the record of a finished run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from .. import files
from ..expression import is_object_path, written
from ..machine.facts import environment
from ..registry import loss_origin
from ..runs import layout
from ..runs.options import ResolvedConfig
from ..runs.predictions import SplitPredictions
from ..runs.record import (
    DataFacts,
    Environment,
    Git,
    Memory,
    Metrics,
    ModelFacts,
    Record,
    RefitFacts,
    Term,
    Timing,
    TrainingFit,
    WeightsFacts,
)
from .evaluation.metrics import classification_metrics, retrieval_quality
from .task import Task
from .training.clock import PARTS, peak_memory_bytes
from .training.loss_timing import loss_seconds
from .training.step import TrainStep
from .training.trainer import Trainer


def record_of_run(
    task: Task,
    step: TrainStep,
    test: SplitPredictions,
    timing: Timing,
    accelerator: Accelerator,
    directory: Path,
    *,
    selected_epoch: int | None,
    refit: RefitFacts | None = None,
    training: TrainingFit | None = None,
) -> Record:
    """Return the record of a run.

    Args:
        task: of the run.
        step: the trained model and loss.
        test: predictions on the test split, from which the metrics are computed.
        timing: of the run.
        accelerator: of the run.
        directory: of the run; its weights are written.
        selected_epoch: epoch whose weights were kept; None for the last.
        refit: of the linear classifier.
        training: fit of the training images.
    """
    config = task.config
    metrics = classification_metrics(test.scores, test.targets, task.train.class_names)
    confusion = metrics.pop("confusion_matrix")
    return Record(
        schema_version=layout.SCHEMA_VERSION,
        formula=str(task.formula),
        loss=config.loss,
        terms=tuple(
            Term(
                name=term.name,
                coefficient=1.0 if term.coefficient is None else term.coefficient,
                hyperparameters={
                    key: written(value) if isinstance(value, tuple) else value for key, value in term.arguments.items()
                },
                source=loss_origin(term.name) if is_object_path(term.name) else None,
            )
            for term in task.formula.terms
        ),
        model=ModelFacts(
            name=config.model,
            weights=config.weights,
            parameters=sum(p.numel() for p in step.model.parameters()),
            embedding_dim=task.context.embedding_dim,
            image_size=config.image_size,
            preprocessing=dataclasses.replace(step.model.preprocessing, image_size=config.image_size),
            reading=config.reading,
        ),
        weights=WeightsFacts(**task.weights.content(config.weights)) if task.weights else None,
        data=_data_facts(task),
        seed=config.seed,
        config=config.as_options(),
        selected_epoch=selected_epoch,
        metrics=Metrics(**metrics, **retrieval_quality(test.vectors, test.targets)),
        confusion_matrix=confusion and tuple(map(tuple, confusion)),
        refit=refit,
        training=training,
        timing=timing,
        memory=Memory(peak_bytes=peak_memory_bytes(accelerator.device)),
        weights_sha256=files.file_sha256(directory / layout.WEIGHTS),
        environment=_environment(accelerator),
    )


def _environment(accelerator: Accelerator) -> Environment:
    found = environment(accelerator.device, accelerator.num_processes)
    git = found.pop("git")
    return Environment(**found, git=git and Git(**git))


def _data_facts(task: Task) -> DataFacts:
    names = task.train.class_names
    details: Mapping[str, Any] = task.train.details
    return DataFacts(
        spec=task.config.data,
        release=details.get("release"),
        dropped=details.get("dropped", {}),
        box_margin=details.get("margin"),
        crop=details.get("crop"),
        subject=task.train.subject,
        class_names=names,
        training_counts=dict(zip(names, task.train.class_counts, strict=True)),
        drawn_counts=dict(zip(names, task.context.class_counts, strict=True)),
        test_counts=dict(zip(names, task.test.class_counts, strict=True)),
        selection_images=0 if task.selection is None else len(task.selection),
        split_origin=task.split_origin,
        train_digest=task.train.digest(),
        test_digest=task.test.digest(),
        skipped_unreadable=task.skipped,
        notes=task.notes,
    )


def timing_of(trainer: Trainer, config: ResolvedConfig, **more: Any) -> Timing:
    """Return median seconds of the sampled steps' parts and of the loss alone, replayed on the last batch.

    Args:
        trainer: after the last epoch.
        config: of the run.
        more: fields of `Timing` that the trainer does not know.
    """
    parts = trainer.clock.medians()
    known = [seconds for seconds in parts.values() if seconds is not None]
    seconds_per_step = sum(known) if known else trainer.train_seconds / max(trainer.clock.steps, 1)
    of_loss = loss_seconds(trainer)
    return Timing(
        seconds_per_step=seconds_per_step,
        loss_seconds_per_step=of_loss,
        loss_share=of_loss / seconds_per_step,
        loss_share_estimated=config.compile,
        **{f"{part}_seconds_per_step": parts[part] for part in PARTS if part != "loss"},  # type: ignore[arg-type]
        loss_forward_seconds_per_step=parts["loss"],
        data_wait_seconds=trainer.clock.data_wait_seconds,
        data_wait_share=trainer.clock.data_wait_seconds / trainer.train_seconds,
        sampled_steps=trainer.clock.samples,
        steps=trainer.clock.steps,
        train_seconds=trainer.train_seconds,
        images_per_second=len(trainer.batches.table) * config.epochs / trainer.train_seconds,
        steps_skipped=trainer.guard.skipped,
        **more,
    )
