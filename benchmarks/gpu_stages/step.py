"""Stage `step`: the training step of SENet-50 at 224 px beside timm's recipe, at three batch sizes."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import step_throughput
import torch
from step_operators import VIEWS, Operators

from gpu_stages.results import Task
from lossbench.harness.training.loss_timing import loss_seconds
from lossbench.types import Batch


def run(task: Task) -> None:
    """Measure losses and timm in turns, step by step."""
    torch.set_num_threads(1)
    batch_sizes = (4,) if task.smoke else (32, 64, 128)
    task.note(
        "ms: median step, all in turns; throughput: images per second as a multiple of timm's. Share of the loss: "
        "its forward and backward alone, of the step. Launches: kernels that one step starts"
        + (", here operators without views." if task.device == "cpu" else ".")
    )
    for batch_size in batch_sizes:
        given = argparse.Namespace(
            model="test_resnet" if task.smoke else "legacy_seresnet50",
            batch_size=batch_size,
            image_size=32 if task.smoke else 224,
            steps=3 if task.smoke else 30,
            device=task.device,
            precision="bf16",
            losses=["softmax", "weighted-cluster"] if task.smoke else list(step_throughput.LOSSES),
        )
        for row in measured(given):
            task.add(row)


def measured(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for a minimal loop, for timm's recipe and for each loss."""
    race = step_throughput.Race(given)
    seconds = race.run()
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    rows = []
    for name, median in medians.items():
        trainer = race.trainers.get(name)
        rows.append(
            {
                "model": f"{given.model}, {given.image_size} px, {given.precision}",
                "batch": given.batch_size,
                "step": name,
                "ms": 1e3 * median,
                "images/s": given.batch_size / median,
                "throughput": medians[step_throughput.TIMM] / median,
                "share of the loss": None if trainer is None else f"{loss_seconds(trainer) / median:.2%}",
                "launches": launches(race.sides[name], race.batches[0], given.device),
            }
        )
    return rows


def launches(step: Callable[[Batch], None], batch: Batch, device: str) -> int:
    """Return how many kernels one step starts; on the CPU, how many operators other than views it dispatches."""
    if device == "cpu":
        with Operators() as counted:
            step(batch)
        return sum(number for name, number in counted.counted.items() if name not in VIEWS)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        step(batch)
        torch.cuda.synchronize()
    names = ("cudaLaunchKernel", "cuLaunchKernel")
    return sum(event.count for event in profile.key_averages() if event.key.startswith(names))
