"""Stage `fp16`: steps whose gradients overflow change nothing, and training goes on at a smaller scale."""

from __future__ import annotations

import argparse
import math
from itertools import cycle

import step_throughput
import torch
from torch import Tensor

from gpu_stages.results import Task
from lossbench.harness.training.trainer import Trainer

SCALE = 2.0**30  # large enough that gradients overflow, and few enough halvings for the limit of skips in a row
LOSSES = ("softmax", "center", "weighted-cluster")


def run(task: Task) -> None:
    """Take steps from an absurd scale, and compare the state before and after every skipped one."""
    if task.device == "cpu":
        task.note("fp16 needs a CUDA device. Here the steps are in bf16, without a scale, and none may be skipped.")
    else:
        task.note(f"Gradients are first scaled by {SCALE:.3g}. A skipped step must leave model and loss unchanged.")
    for loss in LOSSES[:1] if task.smoke else LOSSES:
        given = argparse.Namespace(
            model="test_resnet" if task.smoke else "senet-tiny",
            batch_size=8 if task.smoke else 128,
            image_size=32 if task.smoke else 48,
            device=task.device,
            precision="bf16" if task.device == "cpu" else "fp16",
        )
        steps_of(task, loss, step_throughput.make_trainer(loss, given), 3 if task.smoke else 60)


def steps_of(task: Task, loss: str, trainer: Trainer, steps: int) -> None:
    """Add the row of a loss."""
    scaler, step = trainer.accelerator.scaler, step_throughput.our_step(trainer)
    if scaler is not None:
        scaler.scale(torch.zeros(1, device=trainer.accelerator.device))  # makes the scale, which is made at first use
        scaler.update(new_scale=SCALE)
    changed, values = 0, []
    for _, batch in zip(range(steps), cycle(trainer.images), strict=False):
        before, skipped = state_of(trainer), trainer.guard.skipped
        step(batch)
        if trainer.guard.skipped > skipped:
            after = state_of(trainer)
            changed += any(not torch.equal(before[name], after[name]) for name in before)
        else:
            output, targets = trainer.last or (None, None)
            values.append(math.nan if output is None else float(trainer.step.loss(output, targets).detach()))
    skipped = trainer.guard.skipped
    task.add(
        {
            "loss": loss,
            "steps": steps,
            "skipped": skipped,
            "changed by a skipped step": changed,
            "scale at the end": None if scaler is None else scaler.get_scale(),
            "first value": values[0] if values else None,
            "last value": values[-1] if values else None,
        }
    )
    if scaler is not None and not skipped:
        task.problem(f"{loss}: no step overflowed at a scale of {SCALE:.3g}, so nothing was tried")
    if scaler is None and skipped:
        task.problem(f"{loss}: {skipped} steps were skipped without a scale")
    if changed:
        task.problem(f"{loss}: {changed} skipped steps changed the model or the loss")
    if not values or not all(map(math.isfinite, values)):
        task.problem(f"{loss}: the values of the steps that were taken are {values[:3]} ... {values[-3:]}")


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    """Return copies of the state of model and loss."""
    return {name: tensor.detach().clone() for name, tensor in trainer.step.state_dict().items()}
