"""Open `--data SPEC` as a training and a test table."""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import DataError, FormulaError, did_you_mean
from ..expression import Value, parse_call
from .affectnet import open_affectnet
from .ferplus import open_ferplus
from .labelled_files import MIN_IMAGES, PERSON, open_csv, open_folder
from .rafdb import open_rafdb
from .request import Request, Splits
from .splits import check_splits

__all__ = ["MIN_IMAGES", "SOURCES", "Request", "Source", "Splits", "open_data", "open_unchecked"]

Dials = TypeVar("Dials")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of data.

    Attributes:
        form: how `--data` names it.
        open: opens it.
        depends_on_seed: whether the seed of a run decides which images it holds.
        epochs: passes over its training images, where a run does not say.
        compare_epochs: the same for the runs of a comparison.
        batch_size: images per step, where a run does not say.
        mirror: whether a mirrored image keeps its label, so that training may mirror it.
    """

    form: str
    open: Callable[[Request], Splits]
    depends_on_seed: bool = False
    epochs: int = 15
    compare_epochs: int = 15
    batch_size: int = 128
    mirror: bool = True


def open_data(
    spec: str,
    *,
    val: str | None = None,
    label: str = "label",
    seed: int = 0,
    classes: int | None = None,
    min_images: int | None = None,
    root: str | None = None,
    path_column: str = "path",
    fold_labels: bool = False,
    allow_missing_classes: bool = False,
) -> Splits:
    """Open a data source without decoding images, and check that its splits are compatible.

    Args:
        spec: `synthetic`, `digits` (both with parameters, as in `synthetic(imbalance=100)`), `csv:PATH`, `folder:PATH`
            `affectnet:PATH`, `ferplus:PATH` or `rafdb:PATH`.
        val: manifest or folder of the test split, for sources that are files.
        label: label column of manifests; "person" makes each person a class (for folders, each subfolder).
        seed: seed of the run; only `digits` depends on it.
        classes: 7 or 8, for AffectNet and FER+; None for the classes of the release.
        min_images: minimum images per person, with people as classes; None for `MIN_IMAGES`.
        root: folder that the paths of manifests start from; None for the folder of each manifest.
        path_column: path column of manifests.
        fold_labels: read labels that differ only in case, spaces, quotes or Unicode form as one.
        allow_missing_classes: accept classes without test images.

    Raises:
        DataError: the spec, the listed files or the splits are invalid.

    Example:
        >>> splits = open_data("digits(imbalance=10)", seed=1)
        >>> splits.train.class_counts[:3], splits.origin
        ((12, 122, 94), 'test split of the dataset')
    """
    splits = open_unchecked(
        spec,
        val=val,
        label=label,
        seed=seed,
        classes=classes,
        min_images=min_images,
        root=root,
        path_column=path_column,
        fold_labels=fold_labels,
    )
    notes = check_splits(splits.train, splits.test, allow_missing_classes)
    return dataclasses.replace(splits, notes=splits.notes + notes)


def open_unchecked(
    spec: str,
    *,
    val: str | None = None,
    label: str = "label",
    seed: int = 0,
    classes: int | None = None,
    min_images: int | None = None,
    root: str | None = None,
    path_column: str = "path",
    fold_labels: bool = False,
) -> Splits:
    """Open a data source as `open_data` does, without checking that its splits are compatible."""
    if seed < 0:
        raise DataError(f"--seed {seed}: must be a whole number of at least 0")
    name, path = _name_and_path(spec)
    if classes is not None and name not in ("affectnet", "ferplus"):
        raise DataError(
            f"--classes does not apply to --data {spec!r}; it selects the 7 or 8 expressions of AffectNet and FER+"
        )
    if classes not in (None, 7, 8):
        raise DataError(f"--classes must be 7 or 8, got {classes}")
    if min_images is not None and (label != PERSON or name not in ("csv", "folder")):
        raise DataError("--min-images applies only to people as classes: pass --label person with csv: or folder:")
    if name != "csv" and (root is not None or path_column != "path"):
        raise DataError(f"--root and --path-column apply to manifests (csv:PATH), not to --data {spec!r}")
    if name not in ("csv", "folder") and fold_labels:
        raise DataError(f"--fold-labels applies to csv:PATH and folder:PATH, not to --data {spec!r}")
    request = Request(
        spec=spec,
        path=path,
        val=val,
        label=label,
        seed=seed,
        classes=classes,
        min_images=min_images,
        root=None if root is None else _path(root),
        path_column=path_column,
        fold_labels=fold_labels,
    )
    source = SOURCES[name]
    splits = source.open(request)
    train, test = (dataclasses.replace(table, mirror=source.mirror) for table in (splits.train, splits.test))
    return dataclasses.replace(splits, train=train, test=test)


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
            scheme = "folder" if os.path.isdir(bare) else "csv"
            raise DataError(f"--data {spec!r}: did you mean '{scheme}:{spec}'? {forms}")
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
    return name, _path(path) if takes_path else None


def _path(written: str) -> Path:
    return Path(os.path.expanduser(written))


# --- embedded data ---------------------------------------------------------------------------------------------------


def _open_synthetic(request: Request) -> Splits:
    from .rendered_faces import RenderedFaces, open_rendered_faces

    train, test = open_rendered_faces(_dials(RenderedFaces, request))
    return Splits(train=train, test=test, origin="test split of the dataset")


def _open_digits(request: Request) -> Splits:
    from .digits import Digits, open_digits

    train, test = open_digits(_dials(Digits, request), request.seed)
    return Splits(train=train, test=test, origin="test split of the dataset")


def _dials(kind: type[Dials], request: Request) -> Dials:
    """Parse the parameters of a spec and check their names and types; their class checks the ranges."""
    if request.val is not None or request.label != "label":
        option = "--val" if request.val is not None else "--label"
        raise DataError(f"{option} does not apply to --data {request.spec!r}, which has its own splits and labels")
    try:
        name, arguments = parse_call(request.spec)
    except FormulaError as error:
        what = str(error).partition("\n")[0]  # the rest is about losses
        form = SOURCES[request.spec.partition("(")[0].strip()].form
        raise DataError(f"--data {request.spec!r}: {what}; expected {form!r}") from None
    known = typing.get_type_hints(kind)
    for dial, value in arguments.items():
        if dial not in known:
            raise DataError(f"--data {request.spec!r}: {name} has no parameter {dial!r}. {did_you_mean(dial, known)}")
        if not _fits(value, known[dial]):
            wanted = getattr(known[dial], "__name__", None) or str(known[dial])
            raise DataError(f"--data {request.spec!r}: {dial} must be of type {wanted}; got {value!r}")
    return kind(**arguments)


def _fits(value: Value, wanted: Any) -> bool:
    if isinstance(wanted, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is wanted


# --- files -----------------------------------------------------------------------------------------------------------


def _open_affectnet(request: Request) -> Splits:
    train, test, origin, notes = open_affectnet(_folder_of(request), request.spec, request.classes)
    return Splits(train=train, test=test, origin=origin, notes=notes)


def _open_ferplus(request: Request) -> Splits:
    train, test, origin, notes = open_ferplus(_folder_of(request), request.spec, request.classes)
    return Splits(train=train, test=test, origin=origin, notes=notes)


def _open_rafdb(request: Request) -> Splits:
    train, test, origin, notes = open_rafdb(_folder_of(request), request.spec)
    return Splits(train=train, test=test, origin=origin, notes=notes)


def _folder_of(request: Request) -> Path:
    """Return the folder of a published dataset, after refusing options for other splits and labels."""
    assert request.path is not None
    if request.val is not None or request.label != "label":
        option = "--val" if request.val is not None else "--label"
        raise DataError(f"{option} does not apply to --data {request.spec!r}, which has its own splits and labels")
    return request.path


SOURCES: dict[str, Source] = {
    "synthetic": Source(form="synthetic(name=value, ...)", open=_open_synthetic, epochs=12, compare_epochs=12),
    "digits": Source(
        form="digits(name=value, ...)",
        open=_open_digits,
        depends_on_seed=True,
        epochs=40,
        compare_epochs=40,
        batch_size=64,
        mirror=False,
    ),
    "csv": Source(form="csv:PATH", open=open_csv),
    "folder": Source(form="folder:PATH", open=open_folder),
    "affectnet": Source(form="affectnet:PATH", open=_open_affectnet),
    "ferplus": Source(form="ferplus:PATH", open=_open_ferplus),
    "rafdb": Source(form="rafdb:PATH", open=_open_rafdb),
}
