"""Restore a trainer from a checkpoint."""

from __future__ import annotations

from torch import Tensor

from ...errors import CheckpointError
from ..reporter import Reporter
from ..training.trainer import Trainer
from .belonging import check_identity
from .folder import Checkpoint
from .position import Position, position_of
from .progress import Best
from .resumptions import count_resumption
from .saver import Saver
from .state import restore_own, restore_shared


def restore(checkpoint: Checkpoint, trainer: Trainer, saver: Saver, epochs: int, reporter: Reporter) -> None:
    """Restore trainer and progress from a checkpoint.

    Args:
        checkpoint: undamaged checkpoint.
        trainer: newly built trainer.
        saver: saver of the run; its progress is set.
        epochs: number of epochs of the run.
        reporter: receives the position from which the run resumes.

    Raises:
        CheckpointError: the checkpoint belongs to a different run or has unexpected content.
    """
    content = checkpoint.content
    try:
        doubts = check_identity(checkpoint.path, dict(content["run"]), saver.identity)
        position = position_of(content, epochs, len(trainer.batches))
        own = content["processes"][trainer.accelerator.process_index]
        # Other state of a loss follows from its calls of begin_epoch.
        for told in range(position.epoch + position.processes[trainer.accelerator.process_index].begun):
            trainer.step.loss.begin_epoch(told, epochs)
        restore_shared(trainer, content, checkpoint.tensors["state"])
        restore_own(trainer, own, checkpoint.tensors[f"process-{trainer.accelerator.process_index}"])
        trainer.step.relied_on = trainer.guard.step > 0  # checked on the first batch of the run
        if trainer.step.relied_on:
            trainer.step.loss.without_reminders()  # its hooks were called before, and perhaps no step is left
        _restore_progress(saver, checkpoint, position)
    except CheckpointError as error:
        raise CheckpointError(
            str(error) if str(checkpoint.path) in str(error) else f"{checkpoint.path}: {error}"
        ) from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{checkpoint.path} is undamaged, but lossbench did not write it ({what})") from error
    for doubt in doubts:
        reporter.warning(f"{doubt}; the last bits of the result may differ")
    reporter.message(f"resuming from {saver.progress.where(trainer)} ({checkpoint.path})")


def _restore_progress(saver: Saver, checkpoint: Checkpoint, position: Position) -> None:
    progress = saver.progress
    progress.epoch, progress.rows = position.epoch, list(position.history)
    if position.best is not None:
        weights: dict[str, Tensor] = {
            name.removeprefix("best."): value
            for name, value in checkpoint.tensors["state"].items()
            if name.startswith("best.")
        }
        progress.best = Best(position.best.epoch, position.best.balanced_accuracy, weights)
    progress.seconds, progress.checkpoint_seconds = position.seconds, position.checkpoint_seconds
    progress.checkpoints, progress.resumed = position.checkpoints, position.resumed + 1
    if saver.trainer.accelerator.is_main_process:
        progress.resumed = count_resumption(saver.place.directory, progress.resumed)
    saver.written_at = progress.epoch, saver.trainer.so_far.step
