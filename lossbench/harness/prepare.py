"""Check all input of a run before anything is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .. import time_limit as limits
from ..data import ClassBatches, parse_sampler
from ..data.loader import bytes_in_transit, files_in_transit
from ..data.sampling import drawn_counts
from ..data.splits import carve, left_out
from ..data.table import ImageTable
from ..errors import ConfigError, DataError, PluginError, RunFailed
from ..expression import Formula
from ..loss import Loss
from ..machine.limits import allow_open_files, few_open_files, no_shared_memory, open_files_limit, shared_memory
from ..models.build import check_model, own_image_size, takes_single_images
from ..models.weights import Weights
from ..objective import build_loss, expand_formula, formula_needs
from ..runs.options import ResolvedConfig, RunConfig
from ..testing.contract import check_contract, check_hooks, made_batch
from ..traits import Need
from ..types import LossContext
from .readable_splits import Readable, read_splits
from .reporter import Reporter
from .weights.start_from import read_weights, seen_before

SELECTION_FRACTION = 0.1
_OWN_FILES = 256  # open in a run without loader processes, generously


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run whose input has passed its checks.

    Attributes:
        config: fully resolved options.
        formula: expanded objective.
        needs: inputs that its terms read.
        train: training split, without the selection split.
        selection: selection split carved from training, or None.
        test: test split.
        split_origin: origin of the test split.
        context: context of the loss.
        weights: initial weights of the backbone; None for random weights.
        notes: messages for the user and the record.
        skipped: unreadable files that were skipped.
    """

    config: ResolvedConfig
    formula: Formula
    needs: frozenset[Need]
    train: ImageTable
    selection: ImageTable | None
    test: ImageTable
    split_origin: str
    context: LossContext
    weights: Weights | None
    notes: tuple[str, ...]
    skipped: tuple[str, ...]


def prepare(
    config: RunConfig, reporter: Reporter, read: Callable[[RunConfig, Reporter], Readable] | None = None
) -> Task:
    """Check formula, model, device and data, and return the task.

    Args:
        config: options of the run.
        reporter: receives the progress of long checks.
        read: function that reads the data; None for `read_splits`.

    Raises:
        UsageError: the input is invalid.
    """
    formula = expand_formula(config.formula)
    check_device(config)
    if config.weights == "imagenet":
        reporter.message(f"loading the ImageNet weights of {config.model}")
    weights = read_weights(config.weights, config.model, config.image_size)
    own_size = weights.preprocessing.image_size if weights else own_image_size(config.model)
    image_size = config.image_size or own_size
    embedding_dim = check_model(config.model, image_size)
    splits, skipped = (read or read_splits)(config, reporter)
    train, test = splits.train, splits.test
    notes = list(splits.notes)
    if weights is not None:
        notes.append(weights.note)
        if doubt := seen_before(weights, config.data, splits):
            notes.append(doubt)
    selection = None
    if config.select or config.carve:
        rows, held = carve(train, SELECTION_FRACTION, config.seed)
        whole = left_out(train, held)
        if not len(held):
            option = "--select" if config.select else "--carve"
            raise DataError(f"{option}: no class has the 2 training images that are needed to carve a selection split")
        if whole:
            notes.append(
                f"no image in the selection split, kept in training: {', '.join(whole)}; the prior that scores "
                "carry cannot be measured"
            )
        train, selection = train.subset(rows), train.subset(held)
    sampler, present = parse_sampler(config.sampler), sum(count > 0 for count in train.class_counts)
    if isinstance(sampler, ClassBatches) and sampler.classes > present:
        raise ConfigError(
            f"--sampler {sampler}: the training split has {present} classes; use at most classes:{present}xN"
        )
    context = LossContext(
        num_classes=len(train.class_names),
        embedding_dim=embedding_dim,
        class_counts=drawn_counts(train.class_counts, sampler),
        class_names=train.class_names,
        seed=derived_seed(config.seed, "loss"),
    )
    # Refuse invalid hyper-parameters, class counts and losses before anything is written.
    slow = PluginError(f"{formula} cannot be built: its constructor did not return within {limits.TRIAL_SECONDS:g} s")
    with limits.time_limit(limits.TRIAL_SECONDS, slow):
        loss = build_loss(formula, context)
    if config.mixup or config.cutmix:
        check_mixing(config, loss)
    batch = made_batch(context)
    check_contract(loss, *batch)
    check_hooks(loss, *batch)
    return Task(
        config=config.resolved(image_size),
        formula=formula,
        needs=formula_needs(formula),
        train=train,
        selection=selection,
        test=test,
        split_origin=splits.origin,
        context=context,
        weights=weights,
        notes=tuple(notes),
        skipped=skipped,
    )


def derived_seed(seed: int, purpose: str) -> int:
    """Return an independent seed of a run: order, augmentation, model and loss each have their own.

    Example:
        >>> derived_seed(0, "order") == derived_seed(0, "loss")
        False
    """
    purposes = ("order", "augmentation", "model", "loss")
    return int(np.random.SeedSequence((seed, purposes.index(purpose))).generate_state(1)[0])


def check_mixing(config: RunConfig, loss: Loss) -> None:
    """Refuse mixed images for a loss that reads class numbers.

    Raises:
        ConfigError: naming the terms.
    """
    hard = [term.name for term in loss.terms() if not term.loss.takes_soft_targets]
    if hard:
        options = " and ".join(
            f"--{name} {getattr(config, name):g}" for name in ("mixup", "cutmix") if getattr(config, name)
        )
        raise ConfigError(
            f"{options}: mixed images have probabilities as targets, and {', '.join(hard)} takes class numbers only; "
            "use losses on the logits, such as softmax, or leave the option out"
        )


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
