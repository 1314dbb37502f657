"""Open `ferplus:PATH`: detect the layout, apply the majority rule, drop duplicates, and build both tables."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import DataError
from ..affectnet.images import ImageFolder
from ..decode import Box, decode
from ..face_parameters import CLASS_NAMES
from ..files import ImageFiles, each_file
from ..table import ImageTable
from .duplicates import AMBIGUOUS, IN_TEST, REPEATED, without_duplicates
from .pixels import PixelImages, UInt8Array, read_pixels
from .votes import NO_MAJORITY, NOT_A_FACE, UNKNOWN, USAGES, VotedRow, read_votes

VOTES = "fer2013new.csv"
PIXELS = ("fer2013.csv", "icml_face_data.csv")
FOLDERS = dict(zip(USAGES, ("FER2013Train", "FER2013Valid", "FER2013Test"), strict=True))
WITH_FOLDERS, WITH_PIXELS, WITHOUT_VOTES = "ferplus-folders", "ferplus-pixels", "fer2013-pixels"
TRAIN, PUBLIC, PRIVATE = USAGES
NO_NAME, LISTED_TWICE, NO_VOTES = "without a file name", "listed twice", "without votes"
_REASONS = (
    NO_NAME, LISTED_TWICE, NO_VOTES, NO_MAJORITY, UNKNOWN, NOT_A_FACE, "contempt", AMBIGUOUS, IN_TEST, REPEATED,
)  # fmt: skip
_CONTEMPT = "contempt"
_READERS = 16  # threads; more than cores, because reading small files is mostly waiting
_EXPECTED = (
    f"one of\n  {VOTES} with {', '.join(FOLDERS.values())}: votes and images\n"
    f"  {VOTES} with {PIXELS[0]}: votes and pixels\n  {PIXELS[0]}: pixels with seven labels and no votes"
)


class _Sample(NamedTuple):
    """One labeled image: a file or (48, 48) pixels."""

    name: str
    label: str
    image: Path | UInt8Array


class _Split:
    """The rows of one usage: samples, number of rows, and dropped rows by reason."""

    def __init__(self) -> None:
        self.rows = 0
        self.samples: list[_Sample] = []
        self.dropped: Counter[str] = Counter()
        self._names: set[str] = set()

    def add(
        self, row: VotedRow | None, label: str, name: str, image: Path | UInt8Array, classes: tuple[str, ...]
    ) -> None:
        """Append a row, or count the reason why it is dropped."""
        self.rows += 1
        if row is not None and not row.image:
            self.dropped[NO_NAME] += 1
        elif name in self._names:
            self.dropped[LISTED_TWICE] += 1
        elif label not in classes:
            self.dropped[label] += 1
        else:
            self.samples.append(_Sample(name, label, image))
        self._names.add(name)


def open_ferplus(root: Path, name: str, classes: int | None) -> tuple[ImageTable, ImageTable, str, tuple[str, ...]]:
    """Return the training and test tables, the origin of the test split, and notes with the counts of every step.

    The test split is PrivateTest, or PublicTest if the copy has no images of PrivateTest. Images are read to find
    duplicates.

    Args:
        root: folder of the dataset.
        name: the user's name of the data.
        classes: 8, or 7 without contempt; None for 8 with votes and 7 without.

    Raises:
        DataError: the folder has none of the layouts, a file is invalid, or a split has no images.
    """
    root, layout = _find(root)
    if layout == WITHOUT_VOTES and classes == len(CLASS_NAMES):
        raise DataError(f"{root}: --classes 8 needs the votes of {VOTES}; add that file, or pass --classes 7")
    names = CLASS_NAMES[: classes or (len(CLASS_NAMES) - (layout == WITHOUT_VOTES))]
    splits = _read_folders(root, names) if layout == WITH_FOLDERS else _read_pixel_file(root, layout, names)
    usage = PRIVATE if splits[PRIVATE].samples else PUBLIC
    for wanted in (TRAIN, usage):
        if not splits[wanted].samples:
            raise DataError(f"{root}: no images of {wanted}; expected {_EXPECTED}")
    tables = [_table(f"{name} [{FOLDERS[u]}]", splits[u].samples, names) for u in (TRAIN, usage)]
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
    details = {"path": str(root), "release": layout, "dropped": dropped}
    train, test = (table.subset(rows) for table, rows in zip(tables, kept, strict=True))
    for table in (train, test):
        table.details.update(details)
    return train, test, origin, tuple(notes)


def _find(root: Path) -> tuple[Path, str]:
    """Return the folder with the files, which may be the only subfolder or `data`, and its layout."""
    if not root.is_dir():
        raise DataError(
            f"{root}: {'is a file, not a folder' if root.exists() else 'no such folder'}; expected {_EXPECTED}"
        )
    try:
        inside = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
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


def _read_folders(root: Path, classes: tuple[str, ...]) -> dict[str, _Split]:
    base = root if any((root / folder).is_dir() for folder in FOLDERS.values()) else root / "data"
    folders = {usage: ImageFolder(base / folder) for usage, folder in FOLDERS.items()}
    splits = {usage: _Split() for usage in USAGES}
    for row in read_votes(root / VOTES):
        folder = folders[row.usage]
        if len(folder):
            found = folder.find(row.image) if row.image else None
            path = Path(found.path) if found else folder.path / row.image
            splits[row.usage].add(row, row.label, f"{folder.path.name}/{row.image}", path, classes)
    return splits


def _read_pixel_file(root: Path, layout: str, classes: tuple[str, ...]) -> dict[str, _Split]:
    """Match the rows of both files by their order within each usage."""
    path = next(root / file for file in PIXELS if (root / file).is_file())
    votes: dict[str, Iterator[VotedRow]] | None = None
    if layout == WITH_PIXELS:
        rows = read_votes(root / VOTES)
        votes = {usage: iter([row for row in rows if row.usage == usage]) for usage in USAGES}
    splits = {usage: _Split() for usage in USAGES}
    for row in read_pixels(path):
        split = splits[row.usage]
        voted = next(votes[row.usage], None) if votes is not None else None
        if votes is not None and voted is None:
            split.rows += 1
            split.dropped[NO_VOTES] += 1
            continue
        name = voted.image if voted is not None and voted.image else str(split.rows)
        label = row.label if voted is None else voted.label
        split.add(voted, label, f"{FOLDERS[row.usage]}/{name}", row.pixels, classes)
    for usage, rest in (votes or {}).items():
        if splits[usage].rows and (more := sum(1 for _ in rest)):
            raise DataError(
                f"{path}: {splits[usage].rows:,} rows of {usage}, but {VOTES} has {more:,} more; download both "
                "files again"
            )
    return splits


def _table(name: str, samples: list[_Sample], classes: tuple[str, ...]) -> ImageTable:
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


def _digests(tables: list[ImageTable], samples: list[list[_Sample]]) -> list[list[bytes | None]]:
    """Return the digest of the pixels of every image, None for images that cannot be read."""
    read = dict(each_file(tables, _digest_of_file, threads=_READERS))
    return [
        [
            read[sample.image] if isinstance(sample.image, Path) else hashlib.sha256(sample.image.tobytes()).digest()
            for sample in part
        ]
        for part in samples
    ]


def _digest_of_file(path: Path, box: Box | None) -> bytes | None:
    try:
        image = decode(path, box)
    except DataError:
        return None
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).digest()
