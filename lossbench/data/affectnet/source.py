"""Open `affectnet:PATH`: detect the release and read it into a training and a test table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..files import ImageFiles
from ..folder_walk import subfolders
from ..request import Request, Splits
from ..table import ImageTable, Int32Array
from .annotations import Parse, find_splits, read_annotations
from .codes import CONTEMPT, EXPRESSIONS, NAMES
from .folders import find_class_folders, read_class_folders
from .full import find_full, read_full
from .npy import parse_npy
from .plus import parse_json
from .rows import Rows

# Margin on each side, as a share of the box's width and height: VGGFace2's boxes, with which the SENet was pretrained,
# were extended by a factor of 0.3 in total (Cao et al. 2018).
MARGIN = 0.15


@dataclass(frozen=True)
class Release:
    """A form in which AffectNet is distributed.

    Attributes:
        name: name in the record.
        title: title in messages.
        layout: files and folders by which it is detected.
    """

    name: str
    title: str
    layout: str


FULL = Release(
    "full-2017",
    "AffectNet, the full release of 2017 (CSV lists)",
    "Manually_Annotated/Manually_Annotated_Images/ with Manually_Annotated_file_lists/{training,validation}.csv",
)
MINI = Release(
    "affectnet8-2021",
    "AffectNet-8 of 2021 (npy annotations, images of 224 px)",
    "{train_set,val_set}/{images/<n>.jpg,annotations/<n>_exp.npy}",
)
PLUS = Release(
    "plus-2024",
    "AffectNet+ of 2024 (JSON annotations)",
    "human_annotated/{train_set,validation_set}/{images/<n>.jpg,annotations/<n>.json}",
)
FOLDERS = Release(
    "class-folders", "AffectNet as class folders (a copy of unknown origin)", "{train,val}/<class>/<image>"
)
RELEASES = (FULL, MINI, PLUS, FOLDERS)

_Read = Callable[[], tuple[Rows, Rows, str]]  # training, test, and the origin of the latter
_OWN = "the release's validation split"


def open_affectnet(request: Request) -> Splits:
    """Open a release of AffectNet.

    Classes are AffectNet's codes 0 to 7; rows labeled None, Uncertain or Non-Face are dropped and counted. There
    are 8 classes, or 7 without contempt; by default 8 if the release has contempt. No image is opened.

    Raises:
        DataError: no release or several releases in the folder, a missing split, or unreadable annotations.
    """
    root, classes = request.published_folder(), request.classes
    try:
        release, read = _find(root)
        *rows, origin = read()
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot read: {error.strerror or error}") from None
    has_contempt = CONTEMPT in rows[0].codes
    if classes == EXPRESSIONS and not has_contempt:
        raise DataError(f"{root}: no training image of contempt, which --classes 8 needs; pass --classes 7")
    classes = classes or (EXPRESSIONS if has_contempt else CONTEMPT)
    tables, dropped, notes = [], {}, [f"{root}: {release.title}; {classes} classes"]
    for split, part in zip(("train", "val"), rows, strict=True):
        kept, gone = _kept(part, classes)
        dropped[split] = dict(gone)
        tables.append(_table(f"{request.spec} [{split}]", part, kept, classes))
        notes += _notes(root, part, kept, gone)
    for table in tables:
        table.details.update(path=str(root), release=release.name, dropped=dropped)
    return Splits(train=tables[0], test=tables[1], origin=origin, notes=tuple(notes))


def _find(root: Path) -> tuple[Release, _Read]:
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; expected {_looked_for()}")
    found = _candidates(root) or _candidates(_unpacked(root))
    if len(found) > 1:
        names = "; ".join(release.title for release, _ in found)
        raise DataError(f"{root}: contains several releases of AffectNet: {names}. Move each to its own folder.")
    if not found:
        entries = sorted(entry.name + "/" * entry.is_dir() for entry in os.scandir(root))
        shown = ", ".join(entries[:10]) + (f", … ({len(entries)} in all)" if len(entries) > 10 else "")
        raise DataError(f"{root}: not a release of AffectNet. Looked for {_looked_for()}\nFound: {shown or 'nothing'}.")
    return found[0]


def _unpacked(root: Path) -> Path:
    """Return the only subfolder of a folder, as unpacked archives have, or the folder itself."""
    folders = subfolders(root)
    return root / folders[0] if len(folders) == 1 else root


def _looked_for() -> str:
    return "one of\n" + "\n".join(f"  {release.layout}: {release.title}" for release in RELEASES)


def _candidates(root: Path) -> list[tuple[Release, _Read]]:
    found: list[tuple[Release, _Read]] = []
    if full := find_full(root):
        found.append((FULL, lambda: (*read_full(*full), _OWN)))
    if mini := find_splits(root, "train_set", "val_set", "_exp.npy", MINI.title):
        found.append((MINI, lambda: _of_two(mini, "_exp.npy", parse_npy)))
    inside = root / "human_annotated"
    if plus := find_splits(inside if inside.is_dir() else root, "train_set", "validation_set", ".json", PLUS.title):
        found.append((PLUS, lambda: _of_two(plus, ".json", parse_json)))
    if not found and (folders := find_class_folders(root)):
        found.append((FOLDERS, lambda: read_class_folders(root, folders)))
    return found


def _of_two(splits: tuple[Path, Path], ending: str, parse: Parse) -> tuple[Rows, Rows, str]:
    return read_annotations(splits[0], ending, parse), read_annotations(splits[1], ending, parse), _OWN


def _kept(rows: Rows, classes: int) -> tuple[list[int], Counter[str]]:
    """Return the rows to use, and the number of dropped rows by reason."""
    gone: Counter[str] = Counter()
    kept = []
    for row, code in enumerate(rows.codes):
        if code >= classes:
            gone[NAMES[code]] += 1
        elif row in rows.empty:
            gone["of zero bytes"] += 1
        else:
            kept.append(row)
    return kept, Counter({what: gone[what] for what in (*NAMES, "of zero bytes") if what in gone})


def _table(name: str, rows: Rows, kept: list[int], classes: int) -> ImageTable:
    files = [Path(rows.files[row]) for row in kept]
    boxes = _boxes(rows, kept) if rows.boxes else None
    return ImageTable(
        name=name,
        class_names=NAMES[:classes],
        targets=np.array([rows.codes[row] for row in kept], dtype=np.int64),
        sample_ids=[rows.ids[row] for row in kept],
        read=ImageFiles(files, boxes),
        paths=files,
        boxes=boxes,
        subject="a cropped face",
        details={} if boxes is None else {"margin": MARGIN},
    )


def _boxes(rows: Rows, kept: list[int]) -> Int32Array:
    """Return (N, 4) left, top, right, bottom with the margin; zeros for the whole image."""
    x, y, width, height = np.array([rows.boxes[row] or (0, 0, 0, 0) for row in kept], dtype=np.float64).reshape(-1, 4).T
    edges = (x - MARGIN * width, y - MARGIN * height, x + (1 + MARGIN) * width, y + (1 + MARGIN) * height)
    return np.rint(np.stack(edges, axis=1)).astype(np.int32)


def _notes(root: Path, rows: Rows, kept: list[int], gone: Counter[str]) -> list[str]:
    """Return the notes of a split; each note starts with the path of its annotations."""
    parts = [*rows.notes, *(f"{count:,} {what}" for what, count in rows.met.items())]
    if gone:
        parts.append("dropped " + ", ".join(f"{count:,} {what}" for what, count in gone.items()))
    if rows.empty:
        parts.append(f"of zero bytes: {', '.join(sorted(rows.ids[row] for row in rows.empty)[:5])}")
    if rows.boxes and (whole := sum(rows.boxes[row] is None for row in kept)):
        parts.append(f"{whole:,} without a face box (-1); the whole image is used")
    if missing := [row for row in kept if row in rows.missing]:
        parts.append(
            f"{len(missing):,} annotation(s) without an image, such as {rows.ids[missing[0]]} "
            "(an error in a run; --skip-unreadable skips them)"
        )
    return [f"{os.path.relpath(rows.source, root)}: {part}" for part in parts]
