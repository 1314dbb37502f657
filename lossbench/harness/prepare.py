"""Everything that can be found wrong with a run before it exists: all input is checked here, and nothing written."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..data import Sampler
from ..data.preflight import drop, unreadable, unreadable_error
from ..data.readable_cache import ReadableFiles
from ..data.request import Splits
from ..data.sampling import drawn_counts
from ..data.sources import open_data
from ..data.splits import carve, check_splits, left_out
from ..data.table import ImageTable
from ..errors import ConfigError, DataError
from ..expression import Formula
from ..models.build import check_model, own_image_size, takes_single_images
from ..models.weights import Weights
from ..objective import build_loss, expand_formula, formula_needs
from ..runs.option import Role
from ..runs.options import ResolvedConfig, RunConfig
from ..testing.contract import check_contract, check_hooks, made_batch
from ..traits import Need
from ..types import LossContext
from .reporter import Reporter
from .weights.start_from import read_weights, seen_before

SELECTION_FRACTION = 0.1
_MANY_FILES = 20_000


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run whose input has passed its checks.

    Attributes:
        config: with nothing left open.
        formula: the objective, expanded.
        needs: what its terms read.
        train: the training split, without the selection split.
        selection: carved from training where the run selects or carves, else None.
        test: the evaluation split.
        split_origin: where the evaluation split came from.
        context: what the loss is told.
        weights: what the backbone starts from; None for fresh weights.
        notes: what the user should know and the record keeps.
        skipped: unreadable files that were left out.
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


Readable = tuple[Splits, tuple[str, ...]]  # and what was left out of them


def prepare(
    config: RunConfig, reporter: Reporter, read: Callable[[RunConfig, Reporter], Readable] | None = None
) -> Task:
    """Checks formula, model, device and data against each other.

    Args:
        config: as asked.
        reporter: is told of long checks.
        read: how the data is read; None for `read_splits`.

    Raises:
        UsageError: its subclasses say what is wrong.
    """
    formula = expand_formula(config.formula)
    check_device(config)
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
            raise DataError(f"{option}: no class has the 10 training images that carving a selection split takes")
        if whole:
            notes.append(f"too small for the selection split, whole in training: {', '.join(whole)}")
        train, selection = train.subset(rows), train.subset(held)
    context = LossContext(
        num_classes=len(train.class_names),
        embedding_dim=embedding_dim,
        class_counts=drawn_counts(train.class_counts, Sampler(config.sampler)),
        class_names=train.class_names,
        seed=derived_seed(config.seed, "loss"),
    )
    # Hyper-parameters, class counts and losses that can't be trained are refused here, before anything is written.
    loss, batch = build_loss(formula, context), made_batch(context)
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
    """One of the independent seeds of a run: order, augmentation, model and loss each have their own.

    Example:
        >>> derived_seed(0, "order") == derived_seed(0, "loss")
        False
    """
    purposes = ("order", "augmentation", "model", "loss")
    return int(np.random.SeedSequence((seed, purposes.index(purpose))).generate_state(1)[0])


def check_device(config: RunConfig) -> None:
    """Refuses a device that is not there and a precision that it can't do.

    Raises:
        ConfigError: saying what there is.
    """
    kind, colon, number = config.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"--device must be auto, cpu, cuda, cuda:N or mps, got {config.device!r}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= gpus:
        raise ConfigError(f"--device {config.device}: there are {gpus} CUDA devices here; use --device cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: there is none here; use --device cpu or auto")
    on_gpu = kind == "cuda" or (kind == "auto" and gpus > 0)
    if config.precision == "fp16" and not on_gpu:
        raise ConfigError("--precision fp16 needs a CUDA device; on the CPU use fp32 or bf16")
    if config.sync_bn and not on_gpu:
        raise ConfigError("--sync-bn needs a CUDA device")
    if config.compile and not on_gpu and not (shutil.which("g++") or shutil.which("clang++") or os.environ.get("CXX")):
        raise ConfigError("--compile on the CPU needs a C++ compiler (g++ or clang++), and none is on the path")


def check_shares(task: Task, processes: int) -> None:
    """Refuses batches whose smallest part is one image, for a model that can't train on one.

    Args:
        task: checked.
        processes: that share each batch.

    Raises:
        ConfigError: with the sizes.
    """
    config, rows = task.config, len(task.train)
    smallest = min(config.batch_size, rows, rows % config.batch_size or config.batch_size)
    if smallest // (processes * config.micro_batches) < 2 and not takes_single_images(config.model, config.image_size):
        parts = processes * config.micro_batches
        raise ConfigError(
            f"--batch-size {config.batch_size}: the smallest batch of {rows} training images has {smallest}"
            f"{f', cut into {parts} parts' if parts > 1 else ''}, which leaves single images, and at "
            f"{config.image_size} px {config.model} can't normalise over one. Change --batch-size or --image-size"
        )


def read_splits(config: RunConfig, reporter: Reporter) -> Readable:
    """The splits of a run's data, whose images can all be read, and what was left out of them."""
    splits = open_data(config.data, **config.values(Role.OPENS_DATA))
    train, test, skipped = _readable(splits.train, splits.test, config, reporter)
    return dataclasses.replace(splits, train=train, test=test), skipped


def _readable(
    train: ImageTable, test: ImageTable, config: RunConfig, reporter: Reporter
) -> tuple[ImageTable, ImageTable, tuple[str, ...]]:
    """Both splits without unreadable images, which are an error unless the run may skip them."""
    files = sum(len(table.paths or ()) for table in (train, test))
    if files > _MANY_FILES:
        reporter.message(f"checking that {files:,} images can be read")
    found = unreadable([train, test], known=ReadableFiles())
    if not found:
        return train, test, ()
    if not config.skip_unreadable:
        raise unreadable_error(found)
    if len(found) > config.max_unreadable:
        raise DataError(
            f"{unreadable_error(found)}\n--skip-unreadable leaves out at most --max-unreadable {config.max_unreadable} "
            "of them: so many are seldom chance"
        )
    bad = [path for path, _ in found]
    train, dropped = drop(train, bad)
    test, dropped_test = drop(test, bad)
    reporter.warning(f"{len(found)} unreadable images are left out (--skip-unreadable); the record lists them")
    if empty := [name for name, count in zip(train.class_names, train.class_counts, strict=True) if not count]:
        raise DataError(f"without the unreadable images no training image is left of: {', '.join(empty)}")
    check_splits(train, test, config.allow_missing_classes)  # evaluation may have lost a class, too
    return train, test, dropped + dropped_test
