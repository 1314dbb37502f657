"""Compute scores and embeddings of every row of a split, once each, over all processes."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object

from ...announce import Announcement
from ...data.files import Progress
from ...data.loader import BatchLoader
from ...data.loading import ImageBatches, evaluation_batches
from ...data.table import ImageTable
from ...errors import NonFiniteError
from ...runs.predictions import SplitPredictions
from ..reporter import Reporter
from ..task import Task
from ..training.step import TrainStep
from ..training.trainer import Trainer


@torch.no_grad()
def predict(
    accelerator: Accelerator,
    step: TrainStep,
    table: ImageTable,
    *,
    image_size: int,
    batch_size: int,
    workers: int,
    progress: Progress = lambda done, total: None,
) -> SplitPredictions:
    """Evaluate a split; all processes take part and all receive the whole result.

    Args:
        accelerator: accelerator of the run.
        step: unwrapped model and loss; temporarily in evaluation mode.
        table: table of the split.
        image_size: side of the square images in pixels.
        batch_size: rows per batch in each process.
        workers: number of loader processes.
        progress: called with the number of evaluated images and the total, those of this process.

    Raises:
        NonFiniteError: a score is NaN or infinite.
    """
    own = evaluation_batches(len(table), batch_size, accelerator.process_index, accelerator.num_processes)
    loader = BatchLoader(
        ImageBatches(table, image_size, augmentation=None, crop_share=step.model.preprocessing.crop_share),
        own,
        workers=workers,
        pin_memory=accelerator.device.type == "cuda",
    )
    training = step.training
    step.eval()
    scores, embeddings = [], []
    done, total = 0, sum(map(len, own))
    with contextlib.closing(loader):
        for batch in loader:
            on_device = batch.images.to(accelerator.device, non_blocking=True, memory_format=torch.channels_last)
            with accelerator.autocast():
                output = step.model(on_device)
            scores.append(step.loss.scores(output).float().cpu().numpy())
            embeddings.append(output.embeddings.float().cpu().numpy())
            done += len(batch.images)
            progress(done, total)
    step.train(training)
    parts = [(scores, embeddings)]
    if accelerator.num_processes > 1:
        parts = gather_object(parts)
    judged = np.concatenate([rows for lists, _ in parts for rows in lists])
    if bad := int((~np.isfinite(judged)).any(axis=1).sum()):
        raise NonFiniteError(
            f"the scores of {bad} of {len(judged)} images of {table.name} are non-finite, although training "
            "was finite. "
            "Check the loss's scores; try a lower --lr or --precision fp32"
        )
    vectors = np.concatenate([rows for _, lists in parts for rows in lists])
    with np.errstate(over="ignore"):
        half = vectors.astype(np.float16)
    return SplitPredictions(
        scores=judged,
        targets=table.targets,
        sample_ids=np.array(list(table.sample_ids), dtype=np.str_),
        embeddings=half if np.isfinite(half).all() or not np.isfinite(vectors).all() else vectors,
    )


def predict_split(table: ImageTable, task: Task, trainer: Trainer, reporter: Reporter) -> SplitPredictions:
    """Evaluate a split of a run; see `predict`."""
    config = task.config
    return predict(
        trainer.accelerator,
        trainer.step,
        table,
        image_size=config.image_size,
        batch_size=config.batch_size,
        workers=config.workers,
        progress=Announcement(reporter.message, f"evaluating {table.name}"),
    )


def share_running_statistics(step: TrainStep) -> None:
    """Copy the first process's buffers to all processes, because running statistics differ between processes."""
    for buffer in step.buffers():
        buffer.copy_(broadcast(buffer.contiguous()))
