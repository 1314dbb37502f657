"""Compare the training throughput of `lossbench run`, a minimal loop and timm's recipe: same model and batches.

    python benchmarks/step_throughput.py benchmarks/results/step-throughput.md [--device cuda] [--precision bf16]

All use the same uint8 batches, already in memory. lossbench runs the steps of its trainer, including timing, the
non-finite guard, the schedule and the loss state. timm's side follows its `train.py`: normalization on the device as in
its prefetching loader, channels last, autocast, cross-entropy, AdamW of `create_optimizer_v2`, a step of its cosine
scheduler. The minimal loop is forward, cross-entropy, backward and a step of fused AdamW on lossbench's model; it
checks, times and schedules nothing. All are interleaved step by step. Ratios are of medians, in parentheses of the
shortest steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.harness.training.trainer import Trainer
from lossbench.machine.facts import machine
from lossbench.models import OWN_MODELS
from lossbench.models.build import build_model
from lossbench.runs.options import RunConfig
from lossbench.types import Batch

MINIMAL, TIMM = "minimal loop", "timm's recipe"
LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--model", default="legacy_seresnet50")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    text = markdown(Race(given).run(), given)
    given.result.write_text(text)
    print(text)


class Race:
    """A step of a minimal loop, of timm's recipe (for timm's models), and one per loss, ready to be timed in turns.

    Args:
        given: model, image_size, batch_size, steps, device, precision and losses.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.trainers = {loss: make_trainer(loss, given) for loss in given.losses}
        images = iter(next(iter(self.trainers.values())).images)
        self.batches = [next(images) for _ in range(4)]
        self.sides = {
            MINIMAL: minimal_step(given),
            **({} if given.model in OWN_MODELS else {TIMM: timm_step(given)}),
            **{loss: our_step(each) for loss, each in self.trainers.items()},
        }

    def run(self) -> dict[str, list[float]]:
        """Return the seconds of each step, by side."""
        seconds: dict[str, list[float]] = {name: [] for name in self.sides}
        for number in range(self.given.steps + 2):  # two for warm-up
            for name, step in self.sides.items():
                taken = timed(step, self.batches[number % len(self.batches)], self.given.device)
                if number >= 2:
                    seconds[name].append(taken)
        return seconds


def make_trainer(loss: str, given: argparse.Namespace) -> Trainer:
    config = RunConfig(
        loss=loss,
        model=given.model,
        data=f"synthetic(images={max(400, 4 * given.batch_size)}, test_images_per_class=2)",  # four whole batches
        image_size=given.image_size,
        batch_size=given.batch_size,
        epochs=10,
        device=given.device,
        precision=given.precision,
    )
    task = prepare(config, SilentReporter())
    task.train.prepare()
    trainer = build_trainer(task, build_accelerator(task.config))
    trainer.step.train()
    return trainer


def our_step(trainer: Trainer) -> Callable[[Batch], None]:
    def step(batch: Batch) -> None:
        trainer.clock.begin()
        trainer._take_step(batch, len(batch.targets))

    return step


def minimal_step(given: argparse.Namespace) -> Callable[[Batch], None]:
    device = torch.device(given.device)
    model = build_model(given.model, num_classes=8, image_size=given.image_size, seed=0)
    model = model.to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    criterion = torch.nn.CrossEntropyLoss()

    def step(batch: Batch) -> None:
        images = batch.images.to(device, non_blocking=True, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=given.precision == "bf16"):
            value = criterion(model(images).logits, batch.targets.to(device, non_blocking=True))
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def timm_step(given: argparse.Namespace) -> Callable[[Batch], None]:
    device = torch.device(given.device)
    model = timm.create_model(given.model, pretrained=False, num_classes=8).to(device)
    model = model.to(memory_format=torch.channels_last)
    model.train()
    mean = torch.tensor(model.default_cfg["mean"], device=device).mul(255).view(1, 3, 1, 1)
    std = torch.tensor(model.default_cfg["std"], device=device).mul(255).view(1, 3, 1, 1)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05)
    schedule = CosineLRScheduler(optimizer, t_initial=500, warmup_t=50, t_in_epochs=False)
    criterion = torch.nn.CrossEntropyLoss().to(device)
    updates = 0

    def step(batch: Batch) -> None:
        nonlocal updates
        images = batch.images.to(device, non_blocking=True).float().sub_(mean).div_(std)
        images = images.contiguous(memory_format=torch.channels_last)
        targets = batch.targets.to(device, non_blocking=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=given.precision == "bf16"):
            value = criterion(model(images), targets)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        updates += 1
        schedule.step_update(updates)

    return step


def timed(step: Callable[[Batch], None], batch: Batch, device: str) -> float:
    on_gpu = torch.device(device).type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize()
    began = clock()
    step(batch)
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - began


def markdown(seconds: dict[str, list[float]], given: argparse.Namespace) -> str:
    where = machine()
    reference, shortest = statistics.median(seconds[MINIMAL]), min(seconds[MINIMAL])
    rows = []
    for name, taken in seconds.items():
        median = statistics.median(taken)
        quartiles = statistics.quantiles(taken, n=4, method="inclusive")
        shown = f"{1e3 * median:,.1f} ({1e3 * quartiles[0]:,.1f} to {1e3 * quartiles[2]:,.1f})"
        ratio = f"{reference / median:.3f}x ({shortest / min(taken):.3f}x)"
        label = name if name in (MINIMAL, TIMM) else f"lossbench, {name}"
        rows.append(f"| {label} | {shown} | {given.batch_size / median:,.1f} | {ratio} |")
    head = (
        f"{given.model}, batch {given.batch_size}, {given.image_size} px, {given.precision}, {given.device}, "
        f"{given.steps} interleaved steps; {where['processor']}, {where['threads']} thread, torch {torch.__version__}, "
        f"timm {timm.__version__}. On the CPU, times are CPU time."
    )
    command = f"    python {where['command']}".replace("step_throughput.py", "benchmarks/step_throughput.py")
    table = "| | ms per step (quartiles) | images per second | throughput |\n|-|-|-|-|\n" + "\n".join(rows)
    return "\n\n".join(["# Training throughput compared with other loops", command, head, table]) + "\n"


if __name__ == "__main__":
    main()
