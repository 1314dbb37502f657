"""What micro-batches and several processes change, for terms that couple the rows of a batch."""

from __future__ import annotations

from torch import nn

from ..traits import Trait
from .task import Task
from .training.trainer import Trainer


def notes_on_parts(task: Task, trainer: Trainer) -> list[str]:
    """Return notes on what micro-batches and several processes change, compared with one process and whole batches."""
    processes, parts = trainer.accelerator.num_processes, task.config.micro_batches
    coupled = coupled_terms(trainer)
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
    if trainer.step.gathers:
        return [
            *notes,
            f"{', '.join(coupled)}: the rows of all processes are gathered, so pairs and triplets are those "
            "of the whole batch",
        ]
    notes += [
        f"{name} is computed by each process on its own rows (only pairs and triplets within one process); results "
        "differ from those of one process; --gather computes it on the rows of all"
        for name in coupled
    ]
    return notes


def coupled_terms(trainer: Trainer | None) -> list[str]:
    """Return the terms whose value is not the mean of the values of equal parts of a batch."""
    terms = trainer.step.loss.terms() if trainer else ()
    return [term.name for term in terms if Trait.SHARDABLE not in term.loss.traits]
