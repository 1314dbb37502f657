"""List the photographs of a folder or a manifest, with labels where they have some."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.csv_place import csv_place
from ..data.folder import read_folder
from ..data.folder_walk import OTHER_IMAGES, files_below, kinds_below, named, subfolders
from ..data.manifest import read_csv_manifest
from ..data.spec_options import written_path
from ..errors import DataError
from ..what_is import is_of_runs, what_is


@dataclass(frozen=True)
class Photograph:
    """A photograph to find faces in.

    Attributes:
        name: path below the root, with slashes.
        file: the file.
        label: class; None if it is not known.
        split: "train", "val" or "test"; None if it is not known.
        person: who is on it; None if it is not known.
        reason: why it cannot be read, if its name tells.
    """

    name: str
    file: Path
    label: str | None = None
    split: str | None = None
    person: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Photographs:
    """What is at a place.

    Attributes:
        root: folder that the names start from.
        rows: the photographs, in a fixed order.
        notes: what the user must know about them.
    """

    root: Path
    rows: list[Photograph]
    notes: tuple[str, ...] = ()


def list_photographs(
    where: str, *, root: str | None = None, label: str | None = None, path_column: str | None = None
) -> Photographs:
    """Return the photographs of a folder, at any depth, or of a manifest.

    Labels and splits of a folder are those that `--data folder:DIR` reads.

    Args:
        where: a folder or a CSV file; also with folder: or csv: in front, as --data takes them.
        root: folder that the paths of a manifest start from (default: that of the manifest).
        label: label column of a manifest (default: "label").
        path_column: path column of a manifest (default: "path").

    Raises:
        DataError: there is no such folder or manifest, it has no photographs, the manifest has invalid rows, or a
            folder is given with options of a manifest.
    """
    kind, colon, rest = where.partition(":")
    if not colon or kind not in ("folder", "csv") or os.path.lexists(where):
        kind, rest = ("folder" if os.path.isdir(os.path.expanduser(where)) else "csv"), where
    path = written_path(rest)
    if kind == "folder":
        if root or label or path_column:
            raise DataError(f"--root, --label and --path-column apply to manifests, not to the folder {path}")
        return _of_folder(path)
    place = csv_place(rest)
    if not place.path.exists():
        raise DataError(f"{where}: {what_is(place.path)}; expected a folder of photographs or a manifest (CSV)")
    return _of_manifest(
        place.path, place.root or root, place.label or label or "label", place.path_column or path_column or "path"
    )


def _of_folder(root: Path) -> Photographs:
    if not root.is_dir() or is_of_runs(root):
        raise DataError(f"{root}: {what_is(root)}; expected a folder of photographs")
    rows, ignored = [], Counter[str]()
    labels, notes = _labels(root)
    try:
        for name, is_image in files_below(root):
            suffix = os.path.splitext(name)[1].lower()
            if not is_image and suffix not in OTHER_IMAGES:
                ignored[suffix or "no extension"] += 1
                continue
            reason = "" if is_image else f"images of the kind {suffix} are not read: convert it"
            label, split = labels.get(name, (None, None))
            rows.append(Photograph(name, root / name, label, split, reason=reason))
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot list: {error.strerror or error}") from None
    if not rows:
        found = kinds_below(root)
        raise DataError(f"{root}: no photographs{f'; it contains {found}' if found else ': it is empty'}")
    if ignored:
        kinds = ", ".join(f"{count} x {named(kind)}" for kind, count in sorted(ignored.items()))
        notes += (f"{root}: ignored {kinds}",)
    return Photographs(root, rows, notes)


def _labels(root: Path) -> tuple[dict[str, tuple[str, str | None]], tuple[str, ...]]:
    """Return name -> label and split of the photographs in class folders."""
    if not subfolders(root):
        return {}, ("The photographs lie in no class folders and have no labels",)
    try:
        manifest = read_folder(root, one_class=True)
    except DataError as error:
        return {}, (f"The photographs have no labels: {error}",)
    splits: Sequence[str | None] = manifest.splits or [None] * len(manifest)
    return dict(zip(manifest.ids, zip(manifest.labels, splits, strict=True), strict=True)), ()


def _of_manifest(path: Path, root: str | None, label: str, path_column: str) -> Photographs:
    given = None if root is None else Path(os.path.expanduser(root))
    manifest = read_csv_manifest(path, label, path_column=path_column, root=given)
    base = Path(os.path.realpath(given or path.parent))
    unknown: Sequence[None] = [None] * len(manifest)
    rows = [
        Photograph(os.path.relpath(file, base).replace(os.sep, "/"), file, row_label, split, person)
        for file, row_label, split, person in zip(
            manifest.files,
            manifest.labels,
            manifest.splits or unknown,
            manifest.persons or unknown,
            strict=True,
        )
    ]
    return Photographs(base, rows, manifest.notes)
