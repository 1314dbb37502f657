"""`csv:PATH` and `folder:PATH`: labelled files, and where their evaluation split comes from.

The first that applies: `--val PATH`; the manifest's `split` column or the folder's subfolders; a `val.csv` beside
`train.csv`; 20 % carved from training. Where the classes are people (`--label person`), one image of each is carved.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from .files import ImageFiles
from .folder import read_folder
from .identities import carve_identities
from .manifest import Manifest, read_csv_manifest
from .request import Request, Splits
from .splits import carve
from .table import ImageTable

PERSON = "person"  # the label that makes people the classes
MIN_IMAGES = 4  # of such a person
CARVED_FRACTION = 0.2
# The carved evaluation split is the same for every run: a run that starts from an earlier one's weights (another seed)
# must not be judged on images that those have seen, and images are compared across seeds.
CARVE_SEED = 0


def open_csv(request: Request) -> Splits:
    """A manifest, with the evaluation split that it, `--val` or a `val.csv` beside it names; else a carved one."""
    assert request.path is not None
    manifest = read_csv_manifest(request.path, request.label)
    if request.label == PERSON:
        return _of_identities(request, manifest)
    beside = request.path.with_name("val.csv") if request.path.name == "train.csv" else None
    if request.val is not None:
        val = read_csv_manifest(Path(os.path.expanduser(request.val)), request.label)
        return _of_two(request, manifest, val, f"--val {request.val}")
    if manifest.splits is None and beside is not None and beside.exists():
        return _of_two(request, manifest, read_csv_manifest(beside, request.label), f"{beside}, beside train.csv")
    return _of_one(request, manifest, "the manifest's split column")


def open_folder(request: Request) -> Splits:
    """Class folders, with the evaluation split of their subfolders or of `--val`; else a carved one."""
    assert request.path is not None
    if request.label not in ("label", PERSON):
        raise DataError(
            f"--label has no meaning for --data {request.spec!r}: a class is called as its folder "
            "(--label person says that each folder is a person)"
        )
    manifest = read_folder(request.path)
    if request.label == PERSON:
        return _of_identities(request, manifest)
    if request.val is not None:
        return _of_two(request, manifest, read_folder(Path(os.path.expanduser(request.val))), f"--val {request.val}")
    return _of_one(request, manifest, "the folder's subfolder")


def _of_two(request: Request, training: Manifest, evaluation: Manifest, origin: str) -> Splits:
    """Where both manifests have splits, training rows come from the one and evaluation rows from the other."""
    notes = training.notes + evaluation.notes
    if training.splits is not None:
        rows = len(training)
        training = _nonempty(training.of_split("train"), request.spec, "train")
        if unused := rows - len(training):
            notes += (
                f"{request.spec}: {unused} image(s) of other splits than train are not used, because of {origin}",
            )
    if evaluation.splits is not None:
        evaluation, _ = _evaluation_of(evaluation, str(evaluation.path))
    train, test = _tables(request.spec, training, evaluation, str(evaluation.path))
    return Splits(train=train, test=test, origin=origin, notes=notes)


def _of_one(request: Request, manifest: Manifest, where: str) -> Splits:
    if manifest.splits is not None:
        training = _nonempty(manifest.of_split("train"), request.spec, "train")
        evaluation, split = _evaluation_of(manifest, request.spec)
        train, test = _tables(request.spec, training, evaluation, f"{request.spec} [{split}]")
        notes = manifest.notes
        if unused := len(manifest) - len(train) - len(test):
            notes += (f"{request.spec}: {unused} image(s) of split 'val' are not used; 'test' is evaluated",)
        return Splits(train=train, test=test, origin=f"{where} ({split})", notes=notes)
    everything = manifest_table(request.spec, manifest, sorted(set(manifest.labels)))
    train_rows, test_rows = carve(everything, CARVED_FRACTION, CARVE_SEED, min_images=2)
    by_person = "" if everything.persons is None else ", by person"
    return Splits(
        train=everything.subset(train_rows),
        test=dataclasses.replace(everything.subset(test_rows), name=f"{request.spec} [carved]"),
        origin=f"{CARVED_FRACTION:.0%} carved from training, stratified{by_person}",
        notes=manifest.notes,
    )


def _of_identities(request: Request, manifest: Manifest) -> Splits:
    """Each person a class. An evaluation split of other people would have none of the classes: one is carved."""
    if request.val is not None:
        raise DataError(
            f"--val {request.val}: with --label person the classes are the people of training, and one image of each "
            "is carved from training to evaluate on; leave --val away"
        )
    notes = manifest.notes
    if manifest.splits is not None:
        rows = len(manifest)
        manifest = _nonempty(manifest.of_split("train"), request.spec, "train")
        notes += (f"{request.spec}: {rows - len(manifest):,} image(s) of other splits than train are not used",)
    elif request.path is not None and request.path.name == "train.csv" and request.path.with_name("val.csv").exists():
        notes += (f"{request.path.with_name('val.csv')} is not read: evaluation is on the people of training",)
    everything = dataclasses.replace(manifest_table(request.spec, manifest, sorted(set(manifest.labels))), persons=None)
    least = MIN_IMAGES if request.min_images is None else request.min_images
    kept, train_rows, test_rows = carve_identities(everything, least, CARVE_SEED)
    few = len(everything.class_names) - len(kept.class_names)
    if few:
        lost = len(everything) - len(kept)
        notes += (f"{few:,} person(s) with fewer than {least} images are left out, with {lost:,} image(s)",)
        kept.details["dropped"] = {"train": {f"of a person with fewer than {least} images": lost}}
    return Splits(
        train=kept.subset(train_rows),
        test=dataclasses.replace(kept.subset(test_rows), name=f"{request.spec} [carved]"),
        origin=f"one image of each of {len(kept.class_names):,} people, carved from training",
        notes=notes,
    )


def _evaluation_of(manifest: Manifest, name: str) -> tuple[Manifest, str]:
    """The split that is evaluated: "test" where there is one, else "val"."""
    split = "test" if "test" in (manifest.splits or ()) else "val"
    return _nonempty(manifest.of_split(split), name, "val (or valid, validation, test)"), split


def _nonempty(manifest: Manifest, name: str, split: str) -> Manifest:
    if not len(manifest):
        raise DataError(f"{name}: no image of split {split}; add some, or remove the splits to have one carved")
    return manifest


def _tables(name: str, training: Manifest, evaluation: Manifest, other: str) -> tuple[ImageTable, ImageTable]:
    """Classes are the sorted labels of training; labels that only evaluation has come last, for `check_splits`."""
    classes = sorted(set(training.labels))
    unknown = sorted(set(evaluation.labels).difference(classes))
    return manifest_table(name, training, classes), manifest_table(other, evaluation, classes + unknown)


def manifest_table(name: str, manifest: Manifest, classes: Sequence[str]) -> ImageTable:
    """The rows of a manifest as a table, whose classes are numbered in this order."""
    number = {label: position for position, label in enumerate(classes)}
    return ImageTable(
        name=name,
        class_names=tuple(classes),
        targets=np.array([number[label] for label in manifest.labels], dtype=np.int64),
        sample_ids=manifest.ids,
        read=ImageFiles(manifest.files),
        persons=None if manifest.persons is None else np.array(manifest.persons, dtype=np.str_),
        paths=manifest.files,
        manifest_rows=manifest.rows,
        sha256s=manifest.sha256s,
        details={"path": str(manifest.path)},
    )
