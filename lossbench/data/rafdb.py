"""Open `rafdb:PATH`: the basic emotions of RAF-DB (Li et al. 2017), from its list file and aligned images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..strict_files import open_regular
from .affectnet.images import ImageFolder
from .affectnet.rows import Rows
from .face_expressions import CLASS_NAMES
from .files import ImageFiles
from .request import Request, Splits
from .table import ImageTable

LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the published name, and its correct spelling
LABELS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")  # codes 1 to 7
CLASSES = CLASS_NAMES[:7]  # without contempt
RELEASE = "rafdb-basic"
_LIST_FOLDERS = ("", "EmoLabel", "basic", "basic/EmoLabel")
_IMAGE_FOLDERS = ("Image/aligned", "aligned", "basic/Image/aligned", "basic/aligned")
_EXPECTED = f"EmoLabel/{LISTS[0]} and Image/aligned/{{train,test}}_<n>_aligned.jpg of RAF-DB basic"


def open_rafdb(request: Request) -> Splits:
    """Open RAF-DB, from its folder or the folder `basic` in it. No image is opened.

    Raises:
        DataError: the list or the aligned images are missing, or lines are invalid (all are listed).
    """
    root = request.published_folder()
    if not root.is_dir():
        raise DataError(
            f"{root}: {'is a file, not a folder' if root.exists() else 'no such folder'}; expected {_EXPECTED}"
        )
    lists = [path for folder in _LIST_FOLDERS for file in LISTS if (path := root / folder / file).is_file()]
    folders = [path for folder in _IMAGE_FOLDERS if (path := root / folder).is_dir()]
    if not lists or not folders:
        missing = f"no {LISTS[0]}" if not lists else "no folder of aligned images"
        raise DataError(f"{root}: {missing}; expected {_EXPECTED}")
    parts = _read(lists[0], ImageFolder(folders[0]))
    tables, notes, dropped = [], [f"{root}: RAF-DB, basic emotions; {len(CLASSES)} classes"], {}
    for split, part in zip(("train", "test"), parts, strict=True):
        kept = [row for row in range(len(part)) if row not in part.empty]
        dropped[split] = {"of zero bytes": len(part.empty)} if part.empty else {}
        tables.append(_table(f"{request.spec} [{split}]", part, kept))
        notes.append(f"{split}: {len(part):,} lines, {len(part.empty):,} images of zero bytes dropped")
        notes += [f"{split}: {count:,} {what}" for what, count in part.met.items()]
        if part.missing:
            notes.append(
                f"{split}: {len(part.missing):,} line(s) without an image, such as {part.ids[min(part.missing)]} "
                "(an error in a run; --skip-unreadable skips them)"
            )
    for table in tables:
        table.details.update(path=str(root), release=RELEASE, dropped=dropped)
    return Splits(train=tables[0], test=tables[1], origin="test images of RAF-DB", notes=tuple(notes))


def _read(path: Path, folder: ImageFolder) -> tuple[Rows, Rows]:
    train, test = Rows(path), Rows(path)
    problems: list[str] = []
    seen: set[str] = set()
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        image, _, code = line.strip().partition(" ")
        part = train if image.startswith("train_") else test if image.startswith("test_") else None
        if part is None or "/" in image or "\\" in image or "\0" in image:
            problems.append(f"line {number}: {image[:80]!r}, expected train_<n>.jpg or test_<n>.jpg")
        elif code.strip() not in {str(value + 1) for value in range(len(LABELS))}:
            problems.append(f"line {number}: {image}: label {code[:40]!r}, expected 1 to {len(LABELS)}")
        elif image in seen:
            part.met["line(s) of an image that is listed twice, dropped"] += 1
        else:
            seen.add(image)
            stem, dot, suffix = image.rpartition(".")
            aligned = f"{stem}_aligned{dot}{suffix}"
            found = folder.find(aligned) or folder.find(image)
            target = CLASSES.index(LABELS[int(code) - 1])
            file = found.path if found else str(folder.path / aligned)
            part.add(image, file, target, empty=bool(found and found.empty), missing=found is None)
    if problems:
        train.problems = problems
    return train.checked(), test.checked()


def _lines(path: Path) -> list[str]:
    try:
        with open_regular(path) as file:
            return file.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); copy it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from None


def _table(name: str, part: Rows, kept: list[int]) -> ImageTable:
    files = [Path(part.files[row]) for row in kept]
    return ImageTable(
        name=name,
        class_names=CLASSES,
        targets=np.array([part.codes[row] for row in kept], dtype=np.int64),
        sample_ids=[part.ids[row] for row in kept],
        read=ImageFiles(files),
        paths=files,
        subject="a cropped face",
    )
