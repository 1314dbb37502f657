"""Open `csv:PATH` and `folder:PATH`: labeled files and their test split.

The test split is the first of: `--val PATH`; the manifest's `split` column or the folder's subfolders; a `val.csv` next
to `train.csv`; 20 % carved from training. With people as classes (`--label person`), one image of each person is
carved.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from ..errors import DataError
from .csv_place import CsvPlace, csv_place
from .folder import read_folder
from .identities import carve_identities
from .labels import class_order, fold
from .manifest import Manifest, read_csv_manifest
from .manifest_table import manifest_table, tables_of
from .request import Request, Splits
from .spec_options import written_path
from .splits import carve

PERSON = "person"  # the value of --label that makes people the classes
MIN_IMAGES = 4  # per person
CARVED_FRACTION = 0.2
# The carved test split is the same for every run: a run that starts from the weights of an earlier run (with another
# seed) must not be tested on images that the earlier run was trained on, and images are compared across seeds.
CARVE_SEED = 0


def open_csv(request: Request) -> Splits:
    """Open a manifest with the test split from its column, `--val` or a `val.csv` next to it; otherwise carve one."""
    assert request.path is not None
    manifest = _read_csv(request, CsvPlace(path=request.path))
    if request.label == PERSON:
        return _of_identities(request, manifest)
    if request.val is not None:
        return _of_two(request, manifest, _read_val(request, request.val), f"--val {request.val}")
    beside = request.path.with_name("val.csv") if request.path.name == "train.csv" else None
    if manifest.splits is None and beside is not None and beside.exists():
        return _of_two(request, manifest, _read_csv(request, CsvPlace(path=beside)), f"{beside}, next to train.csv")
    return _of_one(request, manifest, "the manifest's split column")


def open_folder(request: Request) -> Splits:
    """Open class folders with the test split from their subfolders or `--val`; otherwise carve one."""
    assert request.path is not None
    if request.label not in ("label", PERSON):
        raise DataError(
            f"--label does not apply to --data {request.spec!r}: classes are named after their folders "
            "(--label person makes each folder a person)"
        )
    manifest = read_folder(request.path)
    if request.label == PERSON:
        return _of_identities(request, manifest)
    if request.val is not None:
        return _of_two(request, manifest, _read_val(request, request.val), f"--val {request.val}")
    return _of_one(request, manifest, "the folder's subfolder")


def _read_csv(request: Request, place: CsvPlace) -> Manifest:
    root = place.root or request.root
    return read_csv_manifest(
        place.path,
        place.label or request.label,
        path_column=place.path_column or request.path_column,
        root=None if root is None else Path(os.path.expanduser(root)),
    )


def _read_val(request: Request, written: str) -> Manifest:
    """Read what `--val` names, as `--data` takes it or as a path."""
    kind, colon, path = written.partition(":")
    if not colon or kind not in ("csv", "folder"):
        path = written
        kind = "folder" if os.path.isdir(os.path.expanduser(written)) else "csv"
    unknown = colon and kind == "csv" and path == written and not os.path.exists(os.path.expanduser(written))
    if unknown or not path.strip():
        raise DataError(
            f"--val {written!r}: expected csv:PATH, folder:PATH, or the path of a manifest or folder, or another "
            "source of --data, such as affectnet:PATH"
        )
    if kind == "csv":
        return _read_csv(request, csv_place(path))
    return read_folder(written_path(path), one_class=True)


def _folded(request: Request, *manifests: Manifest) -> tuple[Manifest, ...]:
    """Give labels that look equal one spelling, if the user asks for it; otherwise `check_splits` refuses them."""
    if not request.fold_labels:
        return manifests
    spelling = fold(label for manifest in manifests for label in manifest.labels)
    return tuple(
        dataclasses.replace(manifest, labels=[spelling[label] for label in manifest.labels]) for manifest in manifests
    )


def _of_two(request: Request, training: Manifest, evaluation: Manifest, origin: str) -> Splits:
    """Take training rows from one manifest and test rows from the other, also if both have splits."""
    training, evaluation = _folded(request, training, evaluation)
    notes = training.notes + evaluation.notes
    if training.crop != evaluation.crop:
        notes += (f"{training.path} and {evaluation.path} are not crops of the same options of lossbench data crop",)
    if training.splits is not None:
        rows = len(training)
        training = _nonempty(training.of_split("train"), request.spec, "train")
        if unused := rows - len(training):
            notes += (
                f"{request.spec}: {unused} image(s) of splits other than train are not used, because of {origin}",
            )
    if evaluation.splits is not None:
        evaluation, _ = _evaluation_of(evaluation, str(evaluation.path))
    train, test = tables_of(request.spec, training, evaluation, str(evaluation.path))
    return Splits(train=train, test=test, origin=origin, notes=notes)


def _of_one(request: Request, manifest: Manifest, where: str) -> Splits:
    (manifest,) = _folded(request, manifest)
    if manifest.splits is not None:
        training = _nonempty(manifest.of_split("train"), request.spec, "train")
        evaluation, split = _evaluation_of(manifest, request.spec)
        train, test = tables_of(request.spec, training, evaluation, f"{request.spec} [{split}]")
        notes = manifest.notes
        if unused := len(manifest) - len(train) - len(test):
            notes += (f"{request.spec}: {unused} image(s) of split 'val' are not used; split 'test' is the test split",)
        return Splits(train=train, test=test, origin=f"{where} ({split})", notes=notes)
    everything = manifest_table(request.spec, manifest, class_order(manifest.labels))
    train_rows, test_rows = carve(everything, CARVED_FRACTION, CARVE_SEED, min_images=2)
    by_person = "" if everything.persons is None else ", by person"
    return Splits(
        train=everything.subset(train_rows),
        test=dataclasses.replace(everything.subset(test_rows), name=f"{request.spec} [carved]"),
        origin=f"{CARVED_FRACTION:.0%} carved from training, stratified{by_person}",
        notes=manifest.notes,
        whole=everything,
    )


def _of_identities(request: Request, manifest: Manifest) -> Splits:
    """Make each person a class, and carve the test split: other people would have none of the classes."""
    if request.val is not None:
        raise DataError(
            f"--val {request.val}: with --label person the classes are the people in training, and one image of each "
            "is carved from training as the test split; omit --val"
        )
    (manifest,) = _folded(request, manifest)
    notes = manifest.notes
    if manifest.splits is not None:
        rows = len(manifest)
        manifest = _nonempty(manifest.of_split("train"), request.spec, "train")
        notes += (f"{request.spec}: {rows - len(manifest):,} image(s) of splits other than train are not used",)
    elif request.path is not None and request.path.name == "train.csv" and request.path.with_name("val.csv").exists():
        notes += (f"{request.path.with_name('val.csv')} is not read: the test split has the people of training",)
    everything = dataclasses.replace(manifest_table(request.spec, manifest, class_order(manifest.labels)), persons=None)
    least = MIN_IMAGES if request.min_images is None else request.min_images
    kept, train_rows, test_rows = carve_identities(everything, least, CARVE_SEED)
    few = len(everything.class_names) - len(kept.class_names)
    if few:
        lost = len(everything) - len(kept)
        notes += (f"{few:,} person(s) with fewer than {least} images are dropped, with {lost:,} image(s)",)
        kept.details["dropped"] = {"train": {f"of a person with fewer than {least} images": lost}}
    return Splits(
        train=kept.subset(train_rows),
        test=dataclasses.replace(kept.subset(test_rows), name=f"{request.spec} [carved]"),
        origin=f"one image of each of {len(kept.class_names):,} people, carved from training",
        notes=notes,
    )


def _evaluation_of(manifest: Manifest, name: str) -> tuple[Manifest, str]:
    """Return the test split: "test" if it exists, else "val"."""
    split = "test" if "test" in (manifest.splits or ()) else "val"
    return _nonempty(manifest.of_split(split), name, "val (or valid, validation, test)"), split


def _nonempty(manifest: Manifest, name: str, split: str) -> Manifest:
    if not len(manifest):
        raise DataError(
            f"{name}: no images in split {split}; add some, or remove the splits to carve one automatically"
        )
    return manifest
