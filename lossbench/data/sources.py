"""`--data SPEC`: from what a user writes to a training and an evaluation table.

Where the evaluation split of files comes from, the first that applies: `--val PATH`; the manifest's `split` column or
the folder's subfolders; a `val.csv` beside `train.csv`; 20 % carved from training. AffectNet brings its own. Where the
classes are people (`--label person`), one image of each is carved from training.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import DataError, FormulaError, did_you_mean
from ..expression import Value, parse_call
from .affectnet import open_affectnet
from .files import ImageFiles
from .folder import read_folder
from .manifest import Manifest, read_csv_manifest
from .splits import carve, carve_identities, check_splits
from .table import ImageTable

CARVED_FRACTION = 0.2
# The carved evaluation split is the same for every run: a run that starts from an earlier one's weights (another seed)
# must not be judged on images that those have seen, and images are compared across seeds.
CARVE_SEED = 0
MIN_IMAGES = 4  # of a person, where the classes are people
PERSON = "person"  # the label that asks for that

Dials = TypeVar("Dials")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """What a run trains on and is judged by; both tables number the classes alike.

    Attributes:
        train: the training split, from which a selection split may still be carved.
        test: the evaluation split.
        origin: where the evaluation split came from, as a phrase.
        notes: what a user should be told of the data.
    """

    train: ImageTable
    test: ImageTable
    origin: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A `--data` spec with the options that bear on it."""

    spec: str
    path: Path | None
    val: str | None
    label: str
    seed: int
    classes: int | None
    min_images: int | None


@dataclass(frozen=True)
class Source:
    """A kind of data: how it is written, and what opens it."""

    form: str
    open: Callable[[Request], Splits]


def open_data(
    spec: str,
    *,
    val: str | None = None,
    label: str = "label",
    seed: int = 0,
    classes: int | None = None,
    min_images: int | None = None,
    allow_missing_classes: bool = False,
) -> Splits:
    """Opens a data source without decoding an image, and checks that its splits belong together.

    Args:
        spec: `synthetic`, `digits` (both with dials, as in `synthetic(imbalance=100)`), `csv:PATH`, `folder:PATH` or
            `affectnet:PATH`.
        val: the evaluation split's manifest or folder, for sources that are files.
        label: the label column of manifests; "person" makes each person a class, in folders each subfolder.
        seed: the run's; only `digits` depends on it.
        classes: 7 or 8, for AffectNet; None for what the release has.
        min_images: of a person, where people are the classes; None for `MIN_IMAGES`.
        allow_missing_classes: accept classes without evaluation images.

    Raises:
        DataError: for anything wrong with the spec, the files listed or the splits.

    Example:
        >>> splits = open_data("digits(imbalance=10)", seed=1)
        >>> splits.train.class_counts[:3], splits.origin
        ((12, 122, 94), "the data's own test split")
    """
    splits = open_unchecked(spec, val=val, label=label, seed=seed, classes=classes, min_images=min_images)
    notes = check_splits(splits.train, splits.test, allow_missing_classes)
    return dataclasses.replace(splits, notes=splits.notes + notes)


def open_unchecked(
    spec: str, *, val: str | None, label: str, seed: int, classes: int | None, min_images: int | None
) -> Splits:
    """The same without judging whether the splits belong together: for those who want to see why they don't."""
    if seed < 0:
        raise DataError(f"--seed {seed}: a seed is a whole number from 0")
    name, path = _name_and_path(spec)
    if classes is not None and name != "affectnet":
        raise DataError(f"--classes has no meaning for --data {spec!r}: it chooses AffectNet's 7 or 8 expressions")
    if classes not in (None, 7, 8):
        raise DataError(f"--classes must be 7 or 8, got {classes}")
    if min_images is not None and (label != PERSON or name not in ("csv", "folder")):
        raise DataError("--min-images has a meaning where people are the classes: --label person with csv: or folder:")
    request = Request(spec=spec, path=path, val=val, label=label, seed=seed, classes=classes, min_images=min_images)
    return SOURCES[name].open(request)


def _name_and_path(spec: str) -> tuple[str, Path | None]:
    forms = "--data takes: " + ", ".join(source.form for source in SOURCES.values())
    head, colon, path = spec.partition(":")
    name = head.partition("(")[0].strip() if "(" in head or not colon else head.strip()
    if name not in SOURCES:
        bare = os.path.expanduser(spec)
        if spec and os.path.exists(bare):
            scheme = "folder" if os.path.isdir(bare) else "csv"
            raise DataError(f"--data {spec!r}: did you mean '{scheme}:{spec}'? {forms}")
        hint = did_you_mean(name, SOURCES) if name else ""
        raise DataError(f"--data {spec!r}: no source is called {name!r}. {hint} {forms}")
    takes_path = SOURCES[name].form.endswith(":PATH")
    if takes_path and ("(" in head or not path.strip()):
        raise DataError(f"--data {spec!r}: {name!r} needs a path and has no dials; expected {SOURCES[name].form!r}")
    if not takes_path and colon and "(" not in head:
        raise DataError(f"--data {spec!r}: {name!r} takes no path; its dials are written {SOURCES[name].form!r}")
    return name, _path(path) if takes_path else None


def _path(written: str) -> Path:
    return Path(os.path.expanduser(written))


# --- embedded data ---------------------------------------------------------------------------------------------------


def _open_synthetic(request: Request) -> Splits:
    from .rendered_faces import RenderedFaces, open_rendered_faces

    train, test = open_rendered_faces(_dials(RenderedFaces, request))
    return Splits(train=train, test=test, origin="the data's own test split")


def _open_digits(request: Request) -> Splits:
    from .digits import Digits, open_digits

    train, test = open_digits(_dials(Digits, request), request.seed)
    return Splits(train=train, test=test, origin="the data's own test split")


def _dials(kind: type[Dials], request: Request) -> Dials:
    """The dials that a spec sets, checked by name and type; their ranges are checked by the dials themselves."""
    if request.val is not None or request.label != "label":
        option = "--val" if request.val is not None else "--label"
        raise DataError(f"{option} has no meaning for --data {request.spec!r}, which brings its own splits and labels")
    try:
        name, arguments = parse_call(request.spec)
    except FormulaError as error:
        what = str(error).partition("\n")[0]  # the rest speaks of losses
        form = SOURCES[request.spec.partition("(")[0].strip()].form
        raise DataError(f"--data {request.spec!r}: {what}; expected {form!r}") from None
    known = typing.get_type_hints(kind)
    for dial, value in arguments.items():
        if dial not in known:
            raise DataError(f"--data {request.spec!r}: {name} has no dial {dial!r}. {did_you_mean(dial, known)}")
        if not _fits(value, known[dial]):
            wanted = getattr(known[dial], "__name__", None) or str(known[dial])
            raise DataError(f"--data {request.spec!r}: {dial} is of type {wanted}; got {value!r}")
    return kind(**arguments)


def _fits(value: Value, wanted: Any) -> bool:
    if isinstance(wanted, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is wanted


# --- files -----------------------------------------------------------------------------------------------------------


def _open_csv(request: Request) -> Splits:
    assert request.path is not None
    manifest = read_csv_manifest(request.path, request.label)
    if request.label == PERSON:
        return _of_identities(request, manifest)
    beside = request.path.with_name("val.csv") if request.path.name == "train.csv" else None
    if request.val is not None:
        val = read_csv_manifest(_path(request.val), request.label)
        return _of_two(request, manifest, val, f"--val {request.val}")
    if manifest.splits is None and beside is not None and beside.exists():
        return _of_two(request, manifest, read_csv_manifest(beside, request.label), f"{beside}, beside train.csv")
    return _of_one(request, manifest, "the manifest's split column")


def _open_folder(request: Request) -> Splits:
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
        return _of_two(request, manifest, read_folder(_path(request.val)), f"--val {request.val}")
    return _of_one(request, manifest, "the folder's subfolder")


def _open_affectnet(request: Request) -> Splits:
    assert request.path is not None
    if request.val is not None or request.label != "label":
        option = "--val" if request.val is not None else "--label"
        raise DataError(f"{option} has no meaning for --data {request.spec!r}, which brings its own splits and labels")
    train, test, origin, notes = open_affectnet(request.path, request.spec, request.classes)
    return Splits(train=train, test=test, origin=origin, notes=notes)


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
    everything = _table(request.spec, manifest, sorted(set(manifest.labels)))
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
    everything = dataclasses.replace(_table(request.spec, manifest, sorted(set(manifest.labels))), persons=None)
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
    return _table(name, training, classes), _table(other, evaluation, classes + unknown)


def _table(name: str, manifest: Manifest, classes: Sequence[str]) -> ImageTable:
    number = {label: position for position, label in enumerate(classes)}
    return ImageTable(
        name=name,
        class_names=tuple(classes),
        targets=np.array([number[label] for label in manifest.labels], dtype=np.int64),
        sample_ids=manifest.ids,
        read=ImageFiles(manifest.files),
        persons=None if manifest.persons is None else np.array(manifest.persons, dtype=np.str_),
        paths=manifest.files,
        details={"path": str(manifest.path)},
    )


SOURCES: dict[str, Source] = {
    "synthetic": Source("synthetic(dial=value, ...)", _open_synthetic),
    "digits": Source("digits(dial=value, ...)", _open_digits),
    "csv": Source("csv:PATH", _open_csv),
    "folder": Source("folder:PATH", _open_folder),
    "affectnet": Source("affectnet:PATH", _open_affectnet),
}
