"""Evaluate a finished run on other data: `lossbench evaluate`."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from ...announce import Announcement, announced
from ...data.crop_recipe import CropRecipe
from ...data.labels import folded
from ...data.preflight import unreadable, unreadable_error, warned_note
from ...data.read_images import read_as
from ...data.readable_cache import ReadableFiles
from ...data.renumber import renumbered
from ...data.sources import open_unchecked
from ...data.table import ImageTable
from ...errors import DataError, listed
from ...machine.facts import environment
from ...runs import layout
from ...runs.history import read_history, write_history
from ...runs.option import Role
from ...runs.options import RunConfig
from ...runs.predictions import Predictions, write_predictions
from ...runs.record import Environment, Git, Metrics, Record, write_record
from ..reporter import Reporter, SilentReporter
from ..training.build import build_accelerator
from .evaluate import predict
from .metrics import classification_metrics, retrieval_quality
from .trained_run import load_run

_SHOWN = 20


def evaluate_run(run: Path, config: RunConfig, out: Path, reporter: Reporter | None = None) -> Record:
    """Evaluate a finished run on a data source and write a record of its own, with predictions.

    The test split of the source is evaluated; a source that has none is evaluated whole. Classes are matched by name.

    Args:
        run: directory of a finished run.
        config: options that name the data, the device, the batch size and the loader processes.
        out: new directory for the record.
        reporter: receives progress.

    Returns:
        The record: that of the run, with data, metrics and environment of this evaluation.

    Raises:
        ModelError, RecordError: the directory is not a finished run, or it cannot be loaded.
        DataError: the data cannot be read, or has labels that the run does not know.
        ConfigError: `out` is not empty or cannot be written.
    """
    reporter = reporter or SilentReporter()
    trained = load_run(run)
    record, step = trained.record, trained.step
    with announced(reporter.message, f"reading {config.data}"):
        splits = open_unchecked(config.data, **config.opening())
    table = splits.test if splits.whole is None else splits.whole
    table = _of_classes(table, record.data.class_names, run, fold_labels=config.fold_labels)
    checked = Announcement(reporter.message, "checking that images are readable")
    warned: list[tuple[Path, str]] = []
    known = ReadableFiles(recognize=config.recognize_files)
    if found := unreadable([table], progress=checked, known=known, warned=warned):
        raise unreadable_error(found, remedy="")  # what is measured on part of the data is not told apart
    table = read_as(table, trained.record.model.reading)
    if warned:
        reporter.message(warned_note(warned))
    directory = layout.claim_directory(out, required=True)
    accelerator = build_accelerator(config)
    step.to(accelerator.device)
    table.prepare()
    began = time.perf_counter()
    test = predict(
        accelerator,
        step,
        table,
        image_size=record.model.image_size,
        batch_size=config.batch_size or 64,
        workers=config.workers,
        progress=Announcement(reporter.message, f"evaluating {table.name}"),
    )
    metrics = classification_metrics(test.scores, test.targets, record.data.class_names)
    confusion = metrics.pop("confusion_matrix")
    names = record.data.class_names
    found_here = environment(accelerator.device, accelerator.num_processes)
    git = found_here.pop("git")
    detail = table.details.get("crop")
    crop = detail if isinstance(detail, CropRecipe) else None
    evaluated = dataclasses.replace(
        record,
        data=dataclasses.replace(
            record.data,
            spec=config.data,
            test_counts=dict(zip(names, table.class_counts, strict=True)),
            selection_images=0,
            split_origin=splits.origin if splits.whole is None else "all images",
            test_digest=table.digest(),
            skipped_unreadable=(),
            crop=crop,
            notes=(
                *splits.notes,
                *_other_crops(crop, record),
                f"evaluation of {run}, which was trained on {record.data.spec}",
            ),
        ),
        config={**record.config, **{k: v for k, v in config.values(Role.LOCATES_DATA).items() if v is not None}},
        metrics=Metrics(**metrics, **retrieval_quality(test.vectors, test.targets)),
        confusion_matrix=confusion and tuple(map(tuple, confusion)),
        refit=None,
        timing=dataclasses.replace(record.timing, evaluation_seconds=time.perf_counter() - began),
        environment=Environment(**found_here, git=git and Git(**git)),
    )
    layout.write_config(directory / layout.CONFIG, evaluated.config)
    write_history(directory, read_history(run))
    write_predictions(directory, Predictions(test=test, class_names=np.array(names, dtype=np.str_)))
    write_record(directory, evaluated)
    return evaluated


def _of_classes(table: ImageTable, class_names: tuple[str, ...], run: Path, *, fold_labels: bool = False) -> ImageTable:
    """Return a table with its targets numbered as the classes of a run.

    Args:
        table: the data.
        class_names: classes of the run.
        run: its directory, for messages.
        fold_labels: whether a label may differ from its class in what a person overlooks.

    Raises:
        DataError: listing the labels that the run does not know.
    """
    found = renumbered(table, class_names, fold_labels=fold_labels)
    if unknown := found.class_names[len(class_names) :]:
        counts, alike = found.class_counts[len(class_names) :], {folded(name): name for name in class_names}
        looks = [f", which looks like {alike[folded(n)]!r}" if folded(n) in alike else "" for n in unknown]
        rows = [f"{n!r} ({count} image(s)){like}" for n, count, like in zip(unknown, counts, looks, strict=True)]
        fold = " --fold-labels reads labels that look equal as one." if any(looks) else ""
        raise DataError(
            f"{table.name}: {len(rows)} label(s) that {run} was not trained on:\n{listed(rows, limit=_SHOWN)}\n"
            f"It knows: {', '.join(class_names)}. Correct or remove these labels.{fold}"
        )
    return found


def _other_crops(crop: CropRecipe | None, record: Record) -> tuple[str, ...]:
    """Return a note if faces were cut out in another way than those that the run was trained on."""
    trained = record.data.crop
    if crop == trained:
        return ()
    changed = ["one is unknown"] if crop is None or trained is None else crop.differences(trained)
    return (f"faces were cut out in another way than for training: {'; '.join(changed)}",)
