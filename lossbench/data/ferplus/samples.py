"""The rows of both layouts of FER+ as samples, with counts of those that are dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ..affectnet.images import ImageFolder
from .pixels import UInt8Array, read_pixels
from .votes import USAGES, VotedRow, read_votes

VOTES = "fer2013new.csv"
PIXELS = ("fer2013.csv", "icml_face_data.csv")
FOLDERS = dict(zip(USAGES, ("FER2013Train", "FER2013Valid", "FER2013Test"), strict=True))
WITH_FOLDERS, WITH_PIXELS, WITHOUT_VOTES = "ferplus-folders", "ferplus-pixels", "fer2013-pixels"


NO_NAME, LISTED_TWICE, NO_VOTES = "without a file name", "listed twice", "without votes"


class Sample(NamedTuple):
    """One labeled image: a file or (48, 48) pixels, with its votes if it has some."""

    name: str
    label: str
    image: Path | UInt8Array
    votes: tuple[int, ...] | None


class Samples:
    """The rows of one usage: samples, number of rows, and dropped rows by reason."""

    def __init__(self) -> None:
        self.rows = 0
        self.samples: list[Sample] = []
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
            self.samples.append(Sample(name, label, image, row and row.votes))
        self._names.add(name)


def read_folders(root: Path, classes: tuple[str, ...]) -> dict[str, Samples]:
    """Match the rows of the votes with the images of each folder."""
    base = root if any((root / folder).is_dir() for folder in FOLDERS.values()) else root / "data"
    folders = {usage: ImageFolder(base / folder) for usage, folder in FOLDERS.items()}
    splits = {usage: Samples() for usage in USAGES}
    for row in read_votes(root / VOTES):
        folder = folders[row.usage]
        if len(folder):
            found = folder.find(row.image) if row.image else None
            path = Path(found.path) if found else folder.path / row.image
            splits[row.usage].add(row, row.label, f"{folder.path.name}/{row.image}", path, classes)
    return splits


def read_pixel_file(root: Path, layout: str, classes: tuple[str, ...]) -> dict[str, Samples]:
    """Match the rows of both files by their order within each usage."""
    path = next(root / file for file in PIXELS if (root / file).is_file())
    votes: dict[str, Iterator[VotedRow]] | None = None
    if layout == WITH_PIXELS:
        rows = read_votes(root / VOTES)
        votes = {usage: iter([row for row in rows if row.usage == usage]) for usage in USAGES}
    splits = {usage: Samples() for usage in USAGES}
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
