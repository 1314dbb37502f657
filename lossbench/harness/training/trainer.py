"""Train the epochs of a run."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import reduce
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ...data.loading import EpochBatches
from ...runs.history import HistoryRow
from ...types import Batch, ModelOutput
from ..reporter import Reporter
from .captured import copied, replayed
from .clock import StepClock
from .diagnostics import epoch_diagnostics, warnings_of
from .guard import FiniteGuard
from .outputs import detached, first_rows, joined
from .recent import EpochSoFar, RecentStep
from .step import TrainStep

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


@dataclass
class Trainer:
    """Takes optimizer steps and collects measurements for the record.

    Attributes:
        accelerator: device, precision and processes.
        wrapped: `step` as prepared by the accelerator, which is called.
        step: the module itself, for access to its parts.
        optimizer: prepared optimizer.
        schedule: schedule, advanced once per step.
        batches: the epoch's batches as rows.
        images: loader over the batches.
        clock: clock for the step's parts.
        guard: guard against non-finite values.
        micro_batches: number of parts into which a step's rows are split.
        marks_inside: whether `step` itself marks the end of forward and loss (not when compiled).
        average: moving average of the model's weights, or None.
        captured_rows: rows of the micro-batches that are replayed as CUDA graphs, or None.
        recent: the last steps that the guard may not have checked yet.
        seconds_before: seconds spent on earlier epochs.
        so_far: progress of the current epoch.
    """

    accelerator: Accelerator
    wrapped: torch.nn.Module
    step: TrainStep
    optimizer: Optimizer
    schedule: LambdaLR
    batches: EpochBatches
    images: Any
    clock: StepClock
    guard: FiniteGuard
    micro_batches: int = 1
    marks_inside: bool = True
    average: ModelEmaV3 | None = None
    captured_rows: int | None = None
    recent: deque[RecentStep] = field(default_factory=deque)
    seconds_before: float = 0.0
    last_lr: float = 0.0
    warned: set[str] = field(default_factory=set)
    last: tuple[ModelOutput, Tensor] | None = None
    so_far: EpochSoFar = field(default_factory=EpochSoFar)

    def run_epoch(
        self,
        epoch: int,
        epochs: int,
        reporter: Reporter,
        after_step: Callable[[], float] = lambda: 0.0,
        waiting: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> HistoryRow:
        """Train the rest of an epoch and return its row of the history.

        Args:
            epoch: epoch, counted from 0.
            epochs: number of epochs of the run.
            reporter: receives each step.
            after_step: called after each step; returns the seconds that were not training.
            waiting: context of each wait for a batch, in which no step is under way.
        """
        so_far = self.so_far
        began = time.perf_counter() - so_far.seconds
        self.batches.epoch, self.batches.start = epoch, so_far.step
        self.step.train()
        if not so_far.begun:
            self.step.loss.begin_epoch(epoch, epochs)
            so_far.begun = True
        so_far.total = self.total()
        images = iter(self.images)
        for number in range(so_far.step, len(self.batches)):
            self.clock.begin()
            with waiting():
                batch = next(images)
            so_far.total += self._take_step(batch, self.batches.rows_of(number))
            so_far.step, so_far.seconds = number + 1, time.perf_counter() - began
            reporter.step(epoch)
            began += after_step()
        self.guard.check()
        self.guard.end_epoch()
        assert self.last is not None
        mean_loss = float(reduce(so_far.total.clone(), "sum")) / max(len(self.batches.table) - so_far.rows_left_out, 1)
        self.clock.read_events()
        so_far.seconds = seconds = time.perf_counter() - began
        row = HistoryRow(
            epoch=epoch,
            loss=mean_loss,
            lr=self.last_lr,
            **epoch_diagnostics(self.step.model.head, self.step.loss, *self.last),
            seconds=seconds,
            images_per_second=len(self.batches.table) / seconds,
        )
        for text in warnings_of(row.gradient_ratio, epoch, self.last[1]):
            if text.split(":")[0] not in self.warned:  # once per term and kind
                self.warned.add(text.split(":")[0])
                reporter.warning(text)
        return row

    def end_epoch(self) -> None:
        """End the epoch. Call it after `run_epoch`, when its row is stored."""
        self.seconds_before += self.so_far.seconds
        self.so_far = EpochSoFar()

    @property
    def train_seconds(self) -> float:
        """Return the training seconds of the run so far, without checkpoints."""
        return self.seconds_before + self.so_far.seconds

    def steps_taken(self, epoch: int) -> int:
        """Return the number of optimizer steps of the run so far, during epoch `epoch`."""
        return epoch * len(self.batches) + self.so_far.step

    def total(self) -> Tensor:
        """Return the scalar sum of the loss so far."""
        return self._zero() if self.so_far.total is None else self.so_far.total

    def _take_step(self, batch: Batch, global_rows: int) -> Tensor:
        """Take one optimizer step; return the sum of the loss over this process's rows."""
        own_rows = self.batches.sizes(global_rows)[self.batches.rank]  # 0 if the batch is only a placeholder
        images = batch.images.to(self.accelerator.device, non_blocking=True, memory_format=torch.channels_last)
        targets = batch.targets.to(self.accelerator.device, non_blocking=True)
        self.clock.mark("data")
        if self.captured_rows is not None:
            torch.compiler.cudagraph_mark_step_begin()  # outputs of the last step may be overwritten
        self.guard.before_forward()
        random_state = torch.get_rng_state()
        outputs, objective = [], self._zero()
        parts = list(zip(images.chunk(self.micro_batches), targets.chunk(self.micro_batches), strict=True))
        for number, (part, labels) in enumerate(parts):
            last = number == len(parts) - 1
            rows = len(labels) if own_rows else 0
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                with replayed(len(part), self.captured_rows):
                    value, output = self.wrapped(part, labels, *((rows,) if self.step.gathers else ()))
                if not self.marks_inside:
                    self.clock.mark("forward")
                # Gradients are averaged over processes, so each is weighted by its share of the step's rows.
                share = rows * self.accelerator.num_processes / global_rows
                self._backward(value if share == 1 else value * share)
            self.clock.mark("backward")
            objective += value.detach() * rows
            output = detached(output)
            outputs.append(output if self.captured_rows is None else copied(output))
        output = joined(outputs)
        place = self.guard.step, self.batches.epoch
        self.recent.append(
            RecentStep(*place, output, targets, batch.index, random_state, self.so_far.step, self.step.of_all)
        )
        while len(self.recent) > self.guard.read_every:
            self.recent.popleft()
        nonfinite = self._update(output, targets, objective, own_rows)
        self.clock.mark("step")
        if nonfinite:
            self.so_far.rows_left_out += global_rows
        return objective if own_rows and not nonfinite else torch.zeros_like(objective)

    def _update(self, output: ModelOutput, targets: Tensor, objective: Tensor, own_rows: int) -> bool:
        """Advance optimizer, schedule and the loss's state; return whether the step was skipped as non-finite."""
        nonfinite = False
        if self.accelerator.scaler is None:
            value = objective / max(own_rows, 1)
            nonfinite = self.guard.after_backward(value, (output.embeddings, output.logits), self._of_all)
        optimizer = self._own_optimizer()
        if not nonfinite:
            optimizer.step()
        self.last_lr = optimizer.param_groups[0]["lr"]
        scaler = self.accelerator.scaler
        with _without_warning() if nonfinite or scaler is not None else contextlib.nullcontext():
            self.schedule.step()
        optimizer.zero_grad(set_to_none=True)
        skipped = nonfinite or (scaler is not None and self.accelerator.optimizer_step_was_skipped)
        if not skipped:
            whole = own_rows == len(targets)
            self.step.loss.update_state(
                output if whole else first_rows(output, own_rows), targets if whole else targets[:own_rows]
            )
        self.guard.after_update(skipped)
        self.guard.count_skip(skipped)
        if self.average is not None and not skipped:
            self.average.update(self.step.model)
        if not nonfinite or self.last is None:
            self.last = output, targets
        return nonfinite

    def _backward(self, value: Tensor) -> None:
        if self.accelerator.scaler is None:
            value.backward()
        else:
            self.accelerator.backward(value)

    def _own_optimizer(self) -> Optimizer:
        """Return the optimizer; without a gradient scaler, without accelerate's wrapper, which searches for modules and
        signatures at each step."""
        if self.accelerator.scaler is None and isinstance(self.optimizer, AcceleratedOptimizer):
            own: Optimizer = self.optimizer.optimizer
            return own
        return self.optimizer

    def parts(self) -> dict[str, torch.nn.Module]:
        """Return the modules whose state the next step depends on, by name."""
        average = {} if self.average is None else {"average": self.average.module}
        return {"step": self.step, **average}

    def first_bad_step(self) -> RecentStep | None:
        """Return the first non-finite step if the guard has found one and it is still known."""
        first = self.guard.first_bad_step
        known = [step for step in self.recent if first in (-1, step.step)]
        return known[-1] if known else None

    def _of_all(self, flag: Tensor) -> Tensor:
        """Return whether a flag is set in any process."""
        if self.accelerator.num_processes == 1:
            return flag
        together: Tensor = self.accelerator.reduce(flag.float(), "sum") > 0
        return together

    def _zero(self) -> Tensor:
        """Return a zero to add to, in float64 if the device supports it (mps does not)."""
        device = self.accelerator.device
        return torch.zeros((), device=device, dtype=torch.float32 if device.type == "mps" else torch.float64)


@contextlib.contextmanager
def _without_warning() -> Iterator[None]:
    """Let a schedule step whose optimizer has not stepped, because its very first step was skipped."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        yield
