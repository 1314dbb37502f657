"""The images that paths on a command line name: files, folders, patterns and manifests, one after the other."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...data.csv_place import csv_place
from ...data.csv_rows import read_records
from ...data.folder_walk import OTHER_IMAGES, files_below
from ...data.located_files import LocatedFiles
from ...errors import DataError, did_you_mean
from ...what_is import is_of_runs, what_is


@dataclass(frozen=True)
class ImageInput:
    """A file to predict.

    Attributes:
        path: how results name it.
        file: the file.
        error: why it cannot be read, if that is known without opening it.
    """

    path: str
    file: Path
    error: str = ""


def image_inputs(paths: Iterable[str]) -> Iterator[ImageInput]:
    """Yield the images of paths, without opening them or keeping their names. Each path yields at least one.

    A folder yields its images at any depth, sorted; hidden files are skipped. A manifest is a file that ends in .csv,
    or csv:FILE?root=DIR&path-column=NAME; its rows without a crop, in a manifest of `lossbench data crop`, yield their
    reason. A path that does not exist and has `*`, `?` or `[` is a pattern, in which `**` stands for folders.

    Raises:
        DataError: a manifest is not a CSV file or lacks its path column.
    """
    for path in paths:
        if os.path.isdir(path):
            yield from _of_folder(path)
        elif path.startswith("csv:") or path.lower().endswith(".csv"):
            yield from _of_manifest(path)
        elif not os.path.lexists(path) and glob.has_magic(path):
            yield from _of_pattern(path)
        else:
            yield ImageInput(path, Path(path))


def _of_folder(path: str) -> Iterator[ImageInput]:
    root, found = Path(path), False
    try:
        if not is_of_runs(root):
            for name, is_image in files_below(root):
                suffix = os.path.splitext(name)[1].lower()
                if is_image or suffix in OTHER_IMAGES:
                    found = True
                    error = "" if is_image else f"images of the kind {suffix} are not read: convert it"
                    yield ImageInput(os.path.join(path, name), root / name, error)
        if not found:
            yield ImageInput(path, root, f"expected images; it is {what_is(root)}")
    except OSError as error:
        yield ImageInput(path, root, f"cannot list {error.filename or path}: {error.strerror or error}")


def _of_pattern(pattern: str) -> Iterator[ImageInput]:
    found = False
    for name in sorted(glob.iglob(pattern, recursive=True)):
        if not os.path.isdir(name):
            found = True
            yield ImageInput(name, Path(name))
    if not found:
        yield ImageInput(pattern, Path(pattern), "no file matches this pattern")


def _of_manifest(path: str) -> Iterator[ImageInput]:
    place = csv_place(path.removeprefix("csv:"))
    rows = read_records(place.path)
    header = [name.strip() for name in next(rows, [])]
    column = place.path_column or "path"
    if column not in header:
        raise DataError(
            f"{place.path}: no column {column!r} with paths of images. {did_you_mean(column, filter(None, header))} "
            f"Name another one: 'csv:{place.path}?path-column=NAME'"
        )
    at = header.index(column)
    reason_at = header.index("reason") if {"photo", "reason"} <= set(header) else None
    folder = place.path.parent if place.root is None else Path(os.path.expanduser(place.root))
    if not folder.is_dir():
        raise DataError(f"{path}: no folder {folder}; expected the folder that the paths of the manifest start from")
    beside = None if place.root is None else place.path.parent
    located = LocatedFiles(folder, beside=beside, option=f"'csv:{place.path}?root=DIR'")
    found = False
    for number, cells in enumerate(rows, start=2):
        if not any(map(str.strip, cells)):
            continue
        found = True
        if len(cells) <= at:
            yield ImageInput(f"{place.path}:{number}", place.path, f"row {number} has no column {column!r}")
        elif reason_at is not None and not cells[at] and len(cells) > reason_at and cells[reason_at]:
            yield ImageInput(cells[header.index("photo")], place.path, cells[reason_at])
        else:
            yield _row(cells[at], folder, located)
    if not found:
        yield ImageInput(str(place.path), place.path, "no rows below the header")


def _row(name: str, folder: Path, located: LocatedFiles) -> ImageInput:
    try:
        name, file = located.locate_as_meant(name)
    except ValueError as error:
        return ImageInput(str(folder / name), folder / name, str(error))
    return ImageInput(str(folder / name), Path(file))
