"""Build the accelerator and the trainer of a task."""

from __future__ import annotations

import os

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import patch_environment

from ...data import Augment, parse_sampler
from ...data.augmentation import Augmentation
from ...data.loader import BatchLoader
from ...data.loading import EpochBatches, ImageBatches
from ...data.mixing import Mixing
from ...data.sampling import row_probabilities
from ...models.build import build_model
from ...objective import build_loss
from ...runs.options import RunConfig
from ...traits import Trait
from ..task import Task, derived_seed
from .average import build_average
from .captured import captured_rows, compile_options
from .clock import StepClock
from .guard import FiniteGuard
from .optimizer import build_optimizer, build_schedule, mask_steps
from .step import TrainStep
from .trainer import Trainer


def build_accelerator(config: RunConfig) -> Accelerator:
    """Return the accelerator of a run: device, precision and processes."""
    # Accelerate keeps global state and would refuse a second run with a different precision.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    named = {"ACCELERATE_TORCH_DEVICE": config.device} if config.device.startswith("cuda:") else {}
    with patch_environment(**named):
        return Accelerator(
            mixed_precision=config.precision if config.precision in ("bf16", "fp16") else "no",
            cpu=config.device == "cpu" or _several_without_gpu(config.device),
        )


def _several_without_gpu(device: str) -> bool:
    """Return whether this is one of several processes that must be told to meet on the CPU.

    Without CUDA, Accelerate would otherwise let each process of `auto` believe that it is alone.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return several and device == "auto" and not torch.cuda.is_available()


def build_trainer(task: Task, accelerator: Accelerator) -> Trainer:
    """Build model, loss, optimizer, order and loader of a task, each from its own seed, on the accelerator.

    Args:
        task: checked task.
        accelerator: accelerator from `build_accelerator`.
    """
    config = task.config
    model = build_model(
        config.model,
        num_classes=task.context.num_classes,
        image_size=config.image_size,
        seed=derived_seed(config.seed, "model"),
        needs=task.needs,
        backbone_state=task.weights.state if task.weights else None,
        preprocessing=task.weights.preprocessing if task.weights else None,
    )
    # `torch.manual_seed` also seeds devices that are not in use, which formats three stacks.
    seeded = torch.default_generator if accelerator.device.type == "cpu" else torch
    seeded.manual_seed(task.context.seed)
    loss = build_loss(task.formula, task.context)
    clock = StepClock(accelerator.device)
    gathers = config.gather and accelerator.num_processes > 1 and Trait.SHARDABLE not in loss.traits
    step = TrainStep(model, loss, mark=clock.mark, gathers=gathers)
    if config.sync_bn:
        step = torch.nn.SyncBatchNorm.convert_sync_batchnorm(step)
    step.to(accelerator.device, dtype=torch.float64 if config.precision == "fp64" else torch.float32)
    step.model.to(memory_format=torch.channels_last)
    guard = FiniteGuard(step, accelerator.device, skips=config.on_nonfinite == "skip")
    optimizer = build_optimizer(
        config.optimizer,
        model,
        loss,
        lr=config.lr,
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay,
        backbone_apart=config.freeze_epochs > 0,
    )
    if guard.read_every > 1 and accelerator.scaler is None:
        mask_steps(optimizer, guard.found)
    batches = EpochBatches(
        task.train,
        config.batch_size,
        seed=derived_seed(config.seed, "order"),
        sampler=parse_sampler(config.sampler),
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    augment_seed = derived_seed(config.seed, "augmentation")
    mixing = (
        Mixing(
            mixup=config.mixup,
            cutmix=config.cutmix,
            seed=augment_seed,
            num_classes=task.context.num_classes,
            cumulative=np.cumsum(row_probabilities(task.train, parse_sampler(config.sampler))),
        )
        if config.mixup or config.cutmix
        else None
    )
    images = ImageBatches(
        task.train,
        config.image_size,
        augmentation=Augmentation(Augment(config.augment), augment_seed),
        crop_share=model.preprocessing.crop_share,
        cache=config.caches_in_memory,
        mixing=mixing,
        soft=task.train.distributions is not None,
    )
    schedule = build_schedule(
        optimizer,
        steps=config.epochs * len(batches),
        warmup_steps=round(config.warmup_epochs * len(batches)),
        frozen_steps=config.freeze_epochs * len(batches),
    )
    average = build_average(model, config.ema)
    if config.compile:
        step.mark = lambda part: None  # timing inside would break the graph
        step.compile(**compile_options(config.compile_mode))
    # Everything is on its device already; to find that out, accelerate would import torch's distributed tensors.
    wrapped, prepared = accelerator.prepare(step, optimizer, device_placement=[False, False])
    return Trainer(
        accelerator=accelerator,
        wrapped=wrapped,
        step=step,
        optimizer=prepared,
        schedule=schedule,
        batches=batches,
        images=BatchLoader(images, batches, workers=config.workers, pin_memory=accelerator.device.type == "cuda"),
        clock=clock,
        guard=guard,
        micro_batches=config.micro_batches,
        marks_inside=not config.compile,
        average=average,
        captured_rows=captured_rows(config, batches),
    )
