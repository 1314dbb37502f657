"""Open `ferplus:PATH`: detect the layout, apply the majority rule, drop duplicates, and build both tables."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ..face_expressions import CLASS_NAMES
from ..files import ImageFiles
from ..folder_walk import subfolders
from ..preflight import unreadable
from ..readable_cache import ReadableFiles
from ..request import Request, Splits
from ..table import ImageTable
from .duplicates import AMBIGUOUS, IN_TEST, REPEATED, without_duplicates
from .pixels import PixelImages
from .samples import (
    FOLDERS,
    LISTED_TWICE,
    NO_NAME,
    NO_VOTES,
    PIXELS,
    VOTES,
    WITH_FOLDERS,
    WITH_PIXELS,
    WITHOUT_VOTES,
    Sample,
    Samples,
    read_folders,
    read_pixel_file,
)
from .votes import NO_MAJORITY, NOT_A_FACE, UNKNOWN, USAGES, distribution

TRAIN, PUBLIC, PRIVATE = USAGES


_REASONS = (
    NO_NAME, LISTED_TWICE, NO_VOTES, NO_MAJORITY, UNKNOWN, NOT_A_FACE, "contempt", AMBIGUOUS, IN_TEST, REPEATED,
)  # fmt: skip
_READERS = 16  # threads; more than cores, because reading small files is mostly waiting
_EXPECTED = (
    f"one of\n  {VOTES} with {', '.join(FOLDERS.values())}: votes and images\n"
    f"  {VOTES} with {PIXELS[0]}: votes and pixels\n  {PIXELS[0]}: pixels with seven labels and no votes"
)


def open_ferplus(request: Request) -> Splits:
    """Open FER+, with notes on the counts of every step.

    With soft votes, the targets of training are the shares of the votes; rows, labels and the test split are the same.

    The test split is PrivateTest, or PublicTest if the copy has no images of PrivateTest. Images are read to find
    duplicates.

    Classes are 8, or 7 without contempt; by default 8 with votes and 7 without.

    Raises:
        DataError: the folder has none of the layouts, a file is invalid, or a split has no images.
    """
    classes = request.classes
    root, layout = _find(request.published_folder())
    if layout == WITHOUT_VOTES and request.soft_votes:
        raise DataError(f"{root}: votes=soft needs the votes of {VOTES}; add that file, or leave votes=soft out")
    if layout == WITHOUT_VOTES and classes == len(CLASS_NAMES):
        raise DataError(f"{root}: --classes 8 needs the votes of {VOTES}; add that file, or pass --classes 7")
    names = CLASS_NAMES[: classes or (len(CLASS_NAMES) - (layout == WITHOUT_VOTES))]
    splits = read_folders(root, names) if layout == WITH_FOLDERS else read_pixel_file(root, layout, names)
    usage = PRIVATE if splits[PRIVATE].samples else PUBLIC
    for wanted in (TRAIN, usage):
        if not splits[wanted].samples:
            raise DataError(f"{root}: {_nothing(splits[wanted], wanted)}")
    tables = [_table(f"{request.spec} [{FOLDERS[u]}]", splits[u].samples, names) for u in (TRAIN, usage)]
    if request.soft_votes:
        tables[0] = dataclasses.replace(tables[0], distributions=_distributions(splits[TRAIN].samples, names))
    digests = _digests(tables, [splits[u].samples for u in (TRAIN, usage)])
    pairs = [(table.targets.tolist(), own) for table, own in zip(tables, digests, strict=True)]
    kept, repeated = without_duplicates(pairs[0], pairs[1])
    notes, dropped = [f"{root}: FER+, layout {layout}; {len(names)} classes"], {}
    for split, used, rows, more in zip(("train", "test"), (TRAIN, usage), kept, repeated, strict=True):
        counts = splits[used].dropped + more
        dropped[split] = {reason: counts[reason] for reason in _REASONS if counts[reason]}
        parts = "".join(f", {count:,} {reason}" for reason, count in dropped[split].items())
        notes.append(f"{used}: {splits[used].rows:,} rows{parts}; {len(rows):,} images remain")
    origin = usage
    if usage == PUBLIC:
        origin = "PublicTest, because this copy has no images of PrivateTest"
        notes.append("PrivateTest has no images, so PublicTest is the test split")
    elif splits[PUBLIC].rows:
        notes.append(f"PublicTest: {splits[PUBLIC].rows:,} rows, not used; --select and --carve carve from Training")
    if request.soft_votes:
        notes.append("votes=soft: training targets are the shares of the votes, without single votes")
    details = {"path": str(root), "release": layout, "dropped": dropped}
    train, test = (table.subset(rows) for table, rows in zip(tables, kept, strict=True))
    for table in (train, test):
        table.details.update(details)
    return Splits(train=train, test=test, origin=origin, notes=tuple(notes))


def _nothing(split: Samples, usage: str) -> str:
    """Return why a split has no images: every row is dropped, or there is neither a row nor a folder for it."""
    if not split.rows:
        return f"no images of {usage}; expected {_EXPECTED}"
    reasons = ", ".join(f"{split.dropped[reason]:,} {reason}" for reason in _REASONS if split.dropped[reason])
    return f"all {split.rows:,} rows of {usage} are dropped ({reasons}); download the files again"


def _find(root: Path) -> tuple[Path, str]:
    """Return the folder with the files, which may be the only subfolder or `data`, and its layout."""
    if not root.is_dir():
        raise DataError(
            f"{root}: {'is a file, not a folder' if root.exists() else 'no such folder'}; expected {_EXPECTED}"
        )
    try:
        inside = [root / name for name in subfolders(root)]
    except OSError as error:
        raise DataError(f"{root}: cannot list: {error.strerror or error}") from None
    places = [root, *(inside if len(inside) == 1 else [])]
    for place in places:
        votes = (place / VOTES).is_file()
        folders = any((base / folder).is_dir() for base in (place, place / "data") for folder in FOLDERS.values())
        pixels = any((place / file).is_file() for file in PIXELS)
        if votes and folders:
            return place, WITH_FOLDERS
        if pixels:
            return place, WITH_PIXELS if votes else WITHOUT_VOTES
        if votes or folders:
            missing = f"{VOTES} without images" if votes else f"image folders without {VOTES}"
            raise DataError(f"{place}: {missing}; expected {_EXPECTED}")
    raise DataError(f"{root}: not FER+; expected {_EXPECTED}")


def _table(name: str, samples: list[Sample], classes: tuple[str, ...]) -> ImageTable:
    numbers = {label: number for number, label in enumerate(classes)}
    paths = [sample.image for sample in samples if isinstance(sample.image, Path)]
    arrays = [sample.image for sample in samples if not isinstance(sample.image, Path)]
    return ImageTable(
        name=name,
        class_names=classes,
        targets=np.array([numbers[sample.label] for sample in samples], dtype=np.int64),
        sample_ids=[sample.name for sample in samples],
        read=ImageFiles(paths) if paths else PixelImages(np.stack(arrays)),
        paths=paths or None,
        subject="a cropped face",
    )


def _distributions(samples: list[Sample], classes: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Return the shares of the votes for the classes, (N, C)."""
    return np.array([distribution(s.votes, classes) for s in samples if s.votes is not None], dtype=np.float32)


def _digests(tables: list[ImageTable], samples: list[list[Sample]]) -> list[list[bytes | None]]:
    """Return the digest of the pixels of every image, None for images that cannot be read.

    The digests of files are kept for later runs, which do not decode these files again.
    """
    read: dict[Path, bytes] = {}
    unreadable(tables, threads=_READERS, known=ReadableFiles(), pixels=read)
    return [
        [
            read.get(sample.image)
            if isinstance(sample.image, Path)
            else hashlib.sha256(sample.image.tobytes()).digest()
            for sample in part
        ]
        for part in samples
    ]
