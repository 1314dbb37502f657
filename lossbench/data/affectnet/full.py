"""Read the full release of 2017: images in numbered folders, annotations in two CSV files."""

from __future__ import annotations

import csv
import io
import itertools
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError
from ...strict_files import open_regular
from .codes import NAMES
from .images import ImageTree
from .rows import Rows

COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
_READ = (0, 1, 2, 3, 4, 6)  # number of columns; landmarks, valence and arousal are not used
_LARGEST = 1_000_000  # pixels: larger than any coordinate in an image that can be decoded


def read_full(images: Path, training: Path, validation: Path) -> tuple[Rows, Rows]:
    """Read both CSV files and match them with one listing of the images.

    validation.csv has no header in some copies, which the first row shows. A width or height of -1 (or 0) means "no
    box", and the row then uses the whole image. Coordinates written as 12.0 are read as 12.

    Raises:
        DataError: a file is not CSV, columns are missing, rows are invalid (listed by number), or there are no images.
    """
    tree = ImageTree(images)
    train, test = _read(training, tree), _read(validation, tree)
    if tree.unused:
        train.met["image(s) without an annotation, ignored"] = tree.unused
    return train.checked(), test.checked()


def _read(path: Path, tree: ImageTree) -> Rows:
    rows = Rows(path)
    lines = _lines(path)
    first = next(lines, (1, []))
    header = [name.strip().lower() for name in first[1]]
    if set(header).intersection(map(str.lower, COLUMNS)):
        at, width = _columns(path, header), len(header)
    else:
        at, width, lines = list(_READ), len(COLUMNS), itertools.chain([first], lines)
        rows.notes.append("no header; columns are assumed to be in AffectNet's order")
    seen: set[str] = set()
    for number, cells in lines:
        _add(rows, tree, number, cells, at, width, seen)
    return rows


def _add(rows: Rows, tree: ImageTree, number: int, cells: list[str], at: list[int], width: int, seen: set[str]) -> None:
    if len(cells) != width:
        if cells:
            rows.problems.append(f"row {number}: {len(cells)} fields, expected {width} (is the file cut off?)")
        return
    name = cells[at[0]].strip().replace("\\", "/")
    try:
        box = _box(*[_whole(cells[place]) for place in at[1:5]])
        code = _whole(cells[at[5]])
    except ValueError as error:
        rows.problems.append(f"row {number}: {name!r}: {error}")
        return
    if not 0 <= code < len(NAMES):
        rows.problems.append(f"row {number}: {name!r}: expression {code}, expected 0 to {len(NAMES) - 1}")
        return
    found = tree.find(name)
    if found is None and (not name or posixpath.normpath(name).startswith(("..", "/"))):
        rows.problems.append(f"row {number}: {name!r}: is outside {tree.root}")
        return
    if name in seen:
        rows.met["duplicate row(s) of an image, dropped"] += 1
        return
    seen.add(name)
    if found is None:
        rows.add(name, f"{tree.root}/{name}", code, missing=True)
    else:
        rows.add(name, found.path, code, empty=found.empty)
        if not found.path.endswith(name):
            rows.met["image(s) found with a different extension or letter case"] += 1
    rows.boxes.append(box)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not value.is_integer():  # also NaN and infinity
        raise ValueError(f"{text!r} is not a whole number")
    return int(value)


def _box(x: int, y: int, width: int, height: int) -> tuple[int, int, int, int] | None:
    if width <= 0 or height <= 0:
        return None
    if max(abs(x), abs(y), width, height) > _LARGEST:
        raise ValueError(f"the box {x, y, width, height} is not a rectangle in an image")
    return x, y, width, height


def _columns(path: Path, header: list[str]) -> list[int]:
    wanted = [COLUMNS[place] for place in _READ]
    if missing := [name for name in wanted if name.lower() not in header]:
        raise DataError(
            f"{path}: no column {', '.join(map(repr, missing))}; found columns: {', '.join(header)}. "
            f"AffectNet's columns are {','.join(COLUMNS)}"
        )
    return [header.index(name.lower()) for name in wanted]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's number, from 1, and its fields."""
    number = 0
    try:
        with open_regular(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(file, strict=True), start=1):
                yield number, cells
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text after row {number} ({error.reason}); copy it again") from None
    except csv.Error as error:
        raise DataError(f"{path}: not CSV after row {number}: {error}; copy it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from None


def find_full(root: Path) -> tuple[Path, Path, Path] | None:
    """Return images, training.csv and validation.csv at or below a folder, or None if it is not this release.

    Raises:
        DataError: a part of the release is missing.
    """
    places = [root, *(root / name for name in _named(root, "manually_annotated"))]
    images = [place / name for place in places for name in _named(place, "manually_annotated_images")]
    folders = [place / name for place in places for name in _named(place, "manually_annotated_file_lists")]
    lists = {
        name.lower(): folder / name
        for folder in [*folders, *places]
        for name in (_entries(folder) if folder.is_dir() else ())
        if name.lower() in ("training.csv", "validation.csv")
    }
    if not images and not folders and len(lists) < 2:
        return None
    if not images:
        raise DataError(
            f"{root}: AffectNet's CSV lists without its images; looked for Manually_Annotated_Images/ in "
            f"{', '.join(map(str, places))}"
        )
    for name in ("training.csv", "validation.csv"):
        if name not in lists:
            looked = ", ".join(map(str, folders or places))
            raise DataError(
                f"{root}: the full release of AffectNet without {name}; looked in {looked}. "
                f"Expected Manually_Annotated_file_lists/{name}"
            )
    return images[0], lists["training.csv"], lists["validation.csv"]


def _named(folder: Path, name: str) -> list[str]:
    return [entry for entry in _entries(folder) if entry.lower() == name and (folder / entry).is_dir()]


def _entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))
