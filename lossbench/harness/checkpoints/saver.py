"""Decide when a run writes checkpoints, and measure their cost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from safetensors.torch import save as to_safetensors

from ...runs.options import CHECKPOINT_INTERVAL
from ...runs.place import Place
from ..training.trainer import Trainer
from .folder import FOLDER, write_checkpoint
from .progress import Progress
from .state import gather_own, gather_shared, saved

# For intervals in minutes: a checkpoint that took s seconds is followed by at least 40 s seconds without one.
_LEAST_DISTANCE = 40
_WORTH_KEEPING = 60  # seconds of training
_ASK_EVERY = {"cuda": 10}  # steps between agreements of several processes, which synchronize the device


@dataclass(frozen=True)
class Interval:
    """The interval between checkpoints, in steps or in minutes.

    Example:
        >>> Interval.parse("200"), Interval.parse("10m")
        (Interval(steps=200, minutes=None), Interval(steps=None, minutes=10))
    """

    steps: int | None = None
    minutes: int | None = None

    @classmethod
    def parse(cls, written: str) -> Interval:
        """Parse a `--checkpoint-every` that `RunConfig` has checked."""
        match = CHECKPOINT_INTERVAL.fullmatch(written)
        assert match is not None
        number = int(match[1])
        return cls(minutes=number) if match[2] else cls(steps=number)


class Saver:
    """Writes checkpoints of a run when they are due.

    Args:
        directory: directory of the run.
        identity: identity of the run.
        interval: interval between checkpoints.
        trainer: trainer whose state is written.
        progress: progress of the run.
        stop_signal: function that returns the signal that stops the run, or 0.
        began: start of this process's part of the run, by `clock`; None for now.
        clock: monotonic clock in seconds.
    """

    def __init__(
        self,
        directory: Path,
        identity: Mapping[str, Any],
        interval: Interval,
        trainer: Trainer,
        progress: Progress,
        stop_signal: Callable[[], int] = lambda: 0,
        began: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.place = Place(directory)
        self.parent, self.identity, self.interval = directory / FOLDER, identity, interval
        self.trainer, self.progress, self.stop_signal, self.clock = trainer, progress, stop_signal, clock
        self.last = clock()
        self.began = self.last if began is None else began
        self.last_cost = 0.0
        self.written_at: tuple[int, int] | None = None  # epoch and step of the last checkpoint

    def after_step(self) -> tuple[float, int]:
        """Write a checkpoint if one is due or the run must stop.

        Returns:
            Seconds spent, and the signal that stops the run, or 0; the same in all processes.
        """
        began = self.clock()
        stop, due = self._agreed()
        if stop or due:
            self.write()
        return self.clock() - began, stop

    def write(self) -> None:
        """Write a checkpoint, unless the last one has the same position."""
        position = self.progress.epoch, self.trainer.so_far.step
        if position == self.written_at:
            return
        began = self.clock()
        self.trainer.guard.check()  # never save non-finite values
        own, own_tensors = gather_own(self.trainer)
        accelerator = self.trainer.accelerator
        parts: list[Any] = [(own, to_safetensors(own_tensors))]
        if accelerator.num_processes > 1:
            parts = gather_object(parts)
        if accelerator.is_main_process:
            self.place.check()
            content, tensors = gather_shared(self.trainer)
            progress = self.progress
            if best := progress.best:
                tensors |= saved({f"best.{name}": value for name, value in best.weights.items()})
            content |= {
                "run": dict(self.identity),
                "epoch": progress.epoch,
                "history": [row.to_json() for row in progress.rows],
                "best": best and {"epoch": best.epoch, "balanced_accuracy": best.balanced_accuracy},
                "seconds": progress.seconds + began - self.began,
                "checkpoints": progress.checkpoints + 1,
                "resumed": progress.resumed,
                "processes": [content for content, _ in parts],
            }
            blobs = {"state": to_safetensors(tensors)} | {f"process-{n}": blob for n, (_, blob) in enumerate(parts)}
            step = self.trainer.steps_taken(progress.epoch)
            # Called when everything except the manifest is written, so that the time includes this checkpoint.
            write_checkpoint(
                self.parent,
                step,
                lambda: content | {"checkpoint_seconds": progress.checkpoint_seconds + self.clock() - began},
                blobs,
            )
        accelerator.wait_for_everyone()
        self.written_at = position
        self.last = self.clock()
        self.last_cost = self.last - began
        self.progress.checkpoint_seconds += self.last_cost
        self.progress.checkpoints += 1

    def is_due_before_evaluation(self) -> bool:
        """Return whether enough was trained since the last checkpoint to save it before an evaluation that may fail."""
        return self.clock() - self.last >= max(_WORTH_KEEPING, _LEAST_DISTANCE * self.last_cost)

    def seconds(self) -> float:
        """Return the seconds of the whole run so far, excluding the time between interruption and resumption."""
        return self.progress.seconds + self.clock() - self.began

    def _agreed(self) -> tuple[int, bool]:
        """Return the signal that stops the run, or 0, and whether a checkpoint is due; the same in all processes."""
        accelerator = self.trainer.accelerator
        if accelerator.num_processes == 1:
            return self.stop_signal(), self._due()
        if self.trainer.so_far.step % _ASK_EVERY.get(accelerator.device.type, 1):
            return 0, self.interval.steps is not None and self._due()
        asked = torch.tensor([float(self.stop_signal()), float(self._due())], device=accelerator.device)
        stop, due = accelerator.reduce(asked, "sum").tolist()
        return int(self.stop_signal() or (signal.SIGTERM if stop else 0)), bool(due)

    def _due(self) -> bool:
        if self.interval.steps is not None:
            return self.trainer.steps_taken(self.progress.epoch) % self.interval.steps == 0
        assert self.interval.minutes is not None
        return self.clock() - self.last >= max(60 * self.interval.minutes, _LEAST_DISTANCE * self.last_cost)
