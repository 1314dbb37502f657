"""Open `--data SPEC` as a training and a test table."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Unpack

from ..errors import DataError, did_you_mean
from ..what_is import is_of_runs, what_is
from . import Augment
from .affectnet import open_affectnet
from .csv_place import csv_place
from .embedded import FORM, open_digits, open_synthetic
from .ferplus import of_ferplus, open_ferplus
from .folds import check_folds, fold_splits
from .labelled_files import MIN_IMAGES, PERSON, open_csv, open_folder
from .rafdb import open_rafdb
from .renumber import other_source, with_test_split
from .request import Options, Request, Splits
from .source import Source
from .spec_options import written_path
from .splits import check_splits

__all__ = ["MIN_IMAGES", "SOURCES", "Request", "Source", "Splits", "open_data", "open_unchecked"]


def open_data(spec: str, *, allow_missing_classes: bool = False, **options: Unpack[Options]) -> Splits:
    """Open a data source without decoding images, and check that its splits are compatible.

    Args:
        spec: name of a source of `SOURCES` with its path or parameters, as in `synthetic(imbalance=100)` or
            `csv:PATH?root=DIR&path-column=NAME`.
        allow_missing_classes: accept classes without test images.
        options: see `Options`.

    Raises:
        DataError: the spec, the listed files or the splits are invalid.

    Example:
        >>> splits = open_data("digits(imbalance=10)", seed=1)
        >>> splits.train.class_counts[:3], splits.origin
        ((12, 122, 94), 'test split of the dataset')
    """
    splits = open_unchecked(spec, **options)
    if (folds := options.get("folds")) and splits.whole is not None:
        check_folds(splits.whole, folds, allow_missing_classes)
    notes = check_splits(splits.train, splits.test, allow_missing_classes)
    return dataclasses.replace(splits, notes=splits.notes + notes)


def open_unchecked(spec: str, **options: Unpack[Options]) -> Splits:
    """Open a data source as `open_data` does, without checking that its splits are compatible."""
    name, path = _name_and_path(spec)
    folds, fold, seed = options.get("folds"), options.get("fold"), options.get("seed", 0)
    of_request: Any = {key: value for key, value in options.items() if key not in ("folds", "fold")}
    if folds:
        of_request["seed"] = 0  # the seed divides the images, which are the same for every seed
    request = Request(spec=spec, path=path, **of_request)
    if name == "csv":
        request = csv_place(spec.partition(":")[2].strip()).of(request)
    if name == "ferplus":
        request = of_ferplus(request, spec.partition(":")[2])
    _check_options(name, request)
    source = SOURCES[name]
    others = SOURCES.keys() - {"csv", "folder"}
    if name not in others and (val := other_source(request.val, others)):
        own = source.open(dataclasses.replace(request, val=None))
        splits = with_test_split(own, open_unchecked(val, seed=request.seed), request)
    else:
        splits = source.open(request)
    return fold_splits(splits, spec, folds, fold or 1, seed, join=source.own_splits) if folds else splits


def _check_options(name: str, request: Request) -> None:
    """Refuse values that no source takes, and options that do not apply to this one."""
    spec, manifest, listed = request.spec, name == "csv", name in ("csv", "folder")
    if request.seed < 0:
        raise DataError(f"--seed {request.seed}: must be a whole number of at least 0")
    if request.classes is not None and name not in ("affectnet", "ferplus"):
        raise DataError(
            f"--classes does not apply to --data {spec!r}; it selects the 7 or 8 expressions of AffectNet and FER+"
        )
    if request.classes not in (None, 7, 8):
        raise DataError(f"--classes must be 7 or 8, got {request.classes}")
    if request.min_images is not None and (request.label != PERSON or not listed):
        raise DataError("--min-images applies only to people as classes: pass --label person with csv: or folder:")
    if not manifest and (request.root is not None or request.path_column != "path"):
        raise DataError(f"--root and --path-column apply to manifests (csv:PATH), not to --data {spec!r}")
    if not listed and request.fold_labels:
        raise DataError(f"--fold-labels applies to csv:PATH and folder:PATH, not to --data {spec!r}")


def check_place(spec: str, **options: Unpack[Options]) -> None:
    """Raise the error of `open_unchecked` if the data is named wrongly or not where the spec says.

    Nothing is read where it exists: commands call this before they import what takes seconds.

    Raises:
        DataError: as `open_unchecked`.
    """
    name, path = _name_and_path(spec)
    written = spec.partition(":")[2]
    if name == "ferplus":
        path = of_ferplus(Request(spec=spec), written).path
    place = csv_place(written.strip()).path if name == "csv" else path
    if place is not None and not os.path.lexists(place):
        open_unchecked(spec, **options)


def source_of(spec: str) -> Source:
    """Return the kind of data that a `--data` spec names.

    Raises:
        DataError: no kind has this name, or the spec has another form than it takes.

    Example:
        >>> source_of("digits(imbalance=10)").depends_on_seed
        True
    """
    return SOURCES[_name_and_path(spec)[0]]


def _name_and_path(spec: str) -> tuple[str, Path | None]:
    forms = "--data accepts: " + ", ".join(source.form for source in SOURCES.values())
    head, colon, path = spec.partition(":")
    name = head.partition("(")[0].strip() if "(" in head or not colon else head.strip()
    if name not in SOURCES:
        bare = os.path.expanduser(spec)
        if spec and os.path.exists(bare):
            raise DataError(f"--data {spec!r}: {_guess(spec, Path(bare))} {forms}")
        hint = did_you_mean(name, SOURCES) if name else ""
        raise DataError(f"--data {spec!r}: unknown source {name!r}. {hint} {forms}")
    takes_path = SOURCES[name].form.endswith(":PATH")
    if takes_path and ("(" in head or not path.strip()):
        raise DataError(
            f"--data {spec!r}: {name!r} needs a path and has no parameters; expected {SOURCES[name].form!r}"
        )
    if not takes_path and colon and "(" not in head:
        raise DataError(
            f"--data {spec!r}: {name!r} does not take a path; write its parameters as {SOURCES[name].form!r}"
        )
    return name, written_path(path) if takes_path else None


def _guess(spec: str, path: Path) -> str:
    """Return what a path without a kind of source means, as a sentence."""
    if not is_of_runs(path) and (path.is_dir() or path.suffix.lower() in (".csv", ".tsv", ".txt")):
        return f"did you mean '{'folder' if path.is_dir() else 'csv'}:{spec}'?"
    return f"it is not data but {what_is(path)}."


SOURCES: dict[str, Source] = {
    "synthetic": Source(
        form=FORM.format("synthetic"),
        open=open_synthetic,
        own_splits=True,
        epochs=12,
        epochs_to_fit=96,
        augment=Augment.STANDARD,
    ),
    "digits": Source(
        form=FORM.format("digits"),
        open=open_digits,
        depends_on_seed=True,
        own_splits=True,
        epochs=40,
        epochs_to_fit=120,
        batch_size=64,
        augment=Augment.CROP,
    ),
    "csv": Source(form="csv:PATH", open=open_csv),
    "folder": Source(form="folder:PATH", open=open_folder),
    "affectnet": Source(form="affectnet:PATH", open=open_affectnet, augment=Augment.STANDARD),
    "ferplus": Source(form="ferplus:PATH", open=open_ferplus, augment=Augment.STANDARD),
    "rafdb": Source(form="rafdb:PATH", open=open_rafdb, augment=Augment.STANDARD),
}
