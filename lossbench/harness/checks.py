"""Checks of what a run needs from its machine and its batches."""

from __future__ import annotations

import os
import shutil

import torch

from ..data.loader import bytes_in_transit, files_in_transit
from ..errors import ConfigError, RunFailed, some
from ..machine.limits import allow_open_files, few_open_files, no_shared_memory, open_files_limit, shared_memory
from ..models.build import parameters_without_gradient, takes_single_images
from ..runs.options import RunConfig
from .task import Task

_OWN_FILES = 256  # open in a run without loader processes, generously


def check_device(config: RunConfig) -> None:
    """Raise an error if the device does not exist or does not support the precision.

    Raises:
        ConfigError: naming the available devices.
    """
    kind, colon, number = config.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"--device must be auto, cpu, cuda, cuda:N or mps, got {config.device!r}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= gpus:
        raise ConfigError(f"--device {config.device}: this machine has {gpus} CUDA devices; pass --device cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: not available on this machine; pass --device cpu or auto")
    on_gpu = kind == "cuda" or (kind == "auto" and gpus > 0)
    if config.precision == "fp16" and not on_gpu:
        raise ConfigError("--precision fp16 needs a CUDA device; on the CPU, pass fp32 or bf16")
    if config.sync_bn and not on_gpu:
        raise ConfigError("--sync-bn needs a CUDA device")
    if config.compile and not on_gpu and not (shutil.which("g++") or shutil.which("clang++") or os.environ.get("CXX")):
        raise ConfigError("--compile on the CPU needs a C++ compiler; install g++ or clang++ and add it to PATH")


def check_shares(task: Task, processes: int) -> None:
    """Raise an error if the smallest part of a batch is one image and the model cannot train on one image.

    Args:
        task: checked task.
        processes: number of processes that share each batch.

    Raises:
        ConfigError: naming the sizes.
    """
    config, rows = task.config, len(task.train)
    smallest = min(config.batch_size, rows, rows % config.batch_size or config.batch_size)
    if smallest // (processes * config.micro_batches) < 2 and not takes_single_images(config.model, config.image_size):
        parts = processes * config.micro_batches
        raise ConfigError(
            f"--batch-size {config.batch_size}: the smallest batch of {rows} training images has {smallest}"
            f"{f', split into {parts} parts' if parts > 1 else ''} and leaves batches of a single image; at "
            f"{config.image_size} px {config.model} cannot normalize a single image. Change --batch-size or "
            "--image-size"
        )


def check_gradients(task: Task, processes: int) -> None:
    """Check that every parameter receives a gradient, which several processes wait for at each step.

    Args:
        task: checked task.
        processes: number of processes that share each batch.

    Raises:
        ConfigError: naming the parameters.
    """
    config = task.config
    if processes > 1 and (idle := parameters_without_gradient(config.model, config.image_size)):
        raise ConfigError(
            f"--model {config.model}: {len(idle)} of its parameters receive no gradient: {some(idle, 5)}. Several "
            "processes wait for the gradient of every parameter; start one process, or choose another model"
        )


def check_loading(task: Task, processes: int) -> None:
    """Check that what loader processes hand over fits into shared memory and the limit on open files.

    A loader process that cannot hand over a batch would otherwise be noticed in the midst of training.

    Args:
        task: checked task.
        processes: number of processes that share each batch.

    Raises:
        RunFailed: naming what is needed, what there is, and what to change.
    """
    config, shared, limit = task.config, shared_memory(), open_files_limit()
    rows = min(-(-config.batch_size // processes), len(task.train))
    needed = processes * bytes_in_transit(rows, config.image_size, config.workers)
    if shared is not None and needed > shared.free:
        raise RunFailed(
            f"--workers {config.workers}: batches on their way from loader processes take {needed / 2**20:,.0f} MiB of "
            f"shared memory, and {no_shared_memory()}"
        )
    files = _OWN_FILES + files_in_transit(config.workers)
    if limit is not None and files > limit:
        raise RunFailed(f"--workers {config.workers}: about {files:,} files are open at a time, and {few_open_files()}")
    allow_open_files(files)
