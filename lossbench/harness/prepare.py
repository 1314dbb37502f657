"""Check all input of a run before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from .. import time_limit as limits
from ..contract import check_contract, check_hooks, made_batch
from ..data import ClassBatches, parse_sampler
from ..data.sampling import drawn_counts
from ..data.splits import carve, left_out
from ..data.table import ImageTable
from ..errors import ConfigError, DataError, PluginError
from ..loss import Loss
from ..models.any_weights import WeightsOptions
from ..models.build import check_model
from ..models.own_images import own_image_size
from ..objective import build_loss, expand_formula, formula_needs
from ..runs.options import RunConfig
from ..types import LossContext
from .checks import check_device
from .readable_splits import Readable, read_splits
from .reporter import Reporter
from .task import Task, derived_seed
from .tracking import check_tracker
from .weights.start_from import read_weights, seen_before

SELECTION_FRACTION = 0.1


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
    check_tracker(config)
    if config.weights == "imagenet":
        reporter.message(f"loading the ImageNet weights of {config.model}")
    options = WeightsOptions(
        prefix=config.weights_prefix,
        mean=config.weights_mean,
        std=config.weights_std,
        channels=config.weights_channels,
        allow_missing=config.allow_missing_weights,
    )
    weights = read_weights(config.weights, config.model, config.image_size, options)
    own_size = weights.preprocessing.image_size if weights else own_image_size(config.model)
    image_size = config.image_size or own_size
    if config.source_size and config.source_size < image_size:
        raise ConfigError(
            f"--source-size {config.source_size} is below the image size of {image_size} px, to which images would be "
            "enlarged again; pass a larger one, or a smaller --image-size"
        )
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
        train, selection = train.subset(rows), dataclasses.replace(train.subset(held), distributions=None)
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
    check_soft_targets(config, train, loss)
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


def check_soft_targets(config: RunConfig, train: ImageTable, loss: Loss) -> None:
    """Refuse mixed images and distributions for a loss that reads class numbers.

    Raises:
        ConfigError: naming the terms.
    """
    options = [f"--{name} {getattr(config, name):g}" for name in ("mixup", "cutmix") if getattr(config, name)]
    what = "mixed images have probabilities as targets"
    if train.distributions is not None:
        options, what = [f"--data {config.data}", *options], "the targets are probabilities"
    hard = [term.name for term in loss.terms() if not term.loss.takes_soft_targets]
    if options and hard:
        raise ConfigError(
            f"{' and '.join(options)}: {what}, and {', '.join(hard)} takes class numbers only; use losses on the "
            "logits, such as softmax, or leave the option out"
        )
