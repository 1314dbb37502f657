"""Read the splits of a run without unreadable and repeated images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from ..announce import Announcement, announced
from ..data.duplicates import Pixels, equal_across, repeated
from ..data.preflight import drop, unreadable, unreadable_error, warned_note
from ..data.readable_cache import ReadableFiles
from ..data.request import Splits
from ..data.sources import open_data
from ..data.splits import check_splits
from ..data.table import ImageTable
from ..errors import DataError
from ..runs.option import Role
from ..runs.options import RunConfig
from .cached_splits import with_images
from .reporter import Reporter

Readable = tuple[Splits, tuple[str, ...]]  # and the skipped files


def read_splits(config: RunConfig, reporter: Reporter) -> Readable:
    """Return the splits of a run's data, without unreadable images and the duplicates to drop, and the skipped files.

    Test images that have the same pixels as a training image are counted in the notes.

    Raises:
        DataError: the data cannot be opened, or has unreadable images that the run may not skip.
    """
    with announced(reporter.message, f"reading {config.data}"):
        splits = open_data(config.data, **config.values(Role.OPENS_DATA))
    if config.drop_duplicates and splits.train.paths is None:
        raise DataError(f"--drop-duplicates applies to images in files, not to --data {config.data!r}")
    pixels: dict[Path, bytes] = {}
    train, test, skipped = _readable(splits.train, splits.test, config, reporter, pixels)
    notes = list(splits.notes)
    if config.drop_duplicates:
        train, more = _without_repeated(train, pixels)
        notes += more
    if across := equal_across(train, test, pixels):
        notes.append(
            f"{len(across):,} test image(s) have the same pixels as a training image, such as {across[0][0]} and "
            f"{across[0][1]}: results will be better than on new images; remove them from one of the two splits "
            "(lossbench data inspect --deep lists equal files)"
        )
    readable = dataclasses.replace(splits, train=train, test=test, notes=tuple(notes))
    return with_images(readable, config, reporter), skipped


def _without_repeated(train: ImageTable, pixels: Pixels) -> tuple[ImageTable, list[str]]:
    """Return the training table without repeated images, and notes."""
    found = repeated(train, pixels)
    notes = [f"--drop-duplicates: {len(found.rows):,} training image(s) that repeat another one are dropped"]
    if groups := found.contradictions:
        notes.append(
            f"{len(groups):,} group(s) of equal training images have different classes and are kept, such as "
            f"{' and '.join(groups[0][:2])}: check their labels"
        )
    if not len(found.rows):
        return train, notes
    kept = train.subset(np.setdiff1d(np.arange(len(train)), found.rows))
    return kept, notes


def _readable(
    train: ImageTable, test: ImageTable, config: RunConfig, reporter: Reporter, pixels: dict[Path, bytes]
) -> tuple[ImageTable, ImageTable, tuple[str, ...]]:
    """Remove unreadable images from both splits, or raise an error unless the run may skip them."""
    warned: list[tuple[Path, str]] = []
    known = ReadableFiles(recognize=config.recognize_files)
    progress = Announcement(reporter.message, "checking that images are readable")
    found = unreadable([train, test], progress=progress, known=known, warned=warned, pixels=pixels)
    if warned:
        reporter.message(warned_note(warned))
    if not found:
        return train, test, ()
    if not config.skip_unreadable:
        raise unreadable_error(found)
    if len(found) > config.max_unreadable:
        raise DataError(
            f"{unreadable_error(found)}\n--skip-unreadable skips at most --max-unreadable {config.max_unreadable} "
            "images; check the files, or raise --max-unreadable"
        )
    bad = [path for path, _ in found]
    train, dropped = drop(train, bad)
    test, dropped_test = drop(test, bad)
    reporter.warning(f"{len(found)} unreadable images are skipped (--skip-unreadable); the record lists them")
    if empty := [name for name, count in zip(train.class_names, train.class_counts, strict=True) if not count]:
        raise DataError(f"without the unreadable images, no training images are left of: {', '.join(empty)}")
    check_splits(train, test, config.allow_missing_classes)  # the test split may also have lost a class
    return train, test, dropped + dropped_test
