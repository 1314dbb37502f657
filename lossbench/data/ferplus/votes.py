"""The votes of FER+: `fer2013new.csv` and the majority rule of its publishers (Barsoum et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, listed
from ..csv_rows import read_records

USAGES = ("Training", "PublicTest", "PrivateTest")
VOTED = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
NO_MAJORITY, UNKNOWN, NOT_A_FACE = "without a majority", "unknown", "not a face"
_OTHERS = {"unknown": UNKNOWN, "NF": NOT_A_FACE}
_COLUMNS = ("usage", "image name", *(name.lower() for name in VOTED))
_SHOWN = 20  # problems listed in one message


class VotedRow(NamedTuple):
    """One row of `fer2013new.csv`.

    Attributes:
        usage: one of `USAGES`.
        image: name of the image file; empty for images that the publishers removed.
        label: name of the expression that won, or `NO_MAJORITY`, `UNKNOWN` or `NOT_A_FACE`.
        votes: numbers of votes in the order of `VOTED`.
    """

    usage: str
    image: str
    label: str
    votes: tuple[int, ...]


def majority(votes: Sequence[int]) -> str:
    """Return the label of ten numbers of votes by the publishers' rule.

    Single votes are dropped in all ten columns. A label needs more than half of the remaining votes, including those
    for unknown and not a face.

    Args:
        votes: votes for neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown and not a face.

    Example:
        >>> majority((4, 0, 0, 1, 3, 2, 0, 0, 0, 0)), majority((0, 9, 0, 0, 0, 0, 0, 1, 0, 0))
        ('without a majority', 'happiness')
    """
    counted = [count if count > 1 else 0 for count in votes]
    most = max(counted)
    if 2 * most <= sum(counted):
        return NO_MAJORITY
    winner = VOTED[counted.index(most)]
    return _OTHERS.get(winner, winner)


def distribution(votes: Sequence[int], classes: Sequence[str]) -> list[float]:
    """Return the shares of the votes for some expressions, without single votes.

    Args:
        votes: as for `majority`.
        classes: names of the expressions; votes for others, for unknown and for not a face do not count.

    Example:
        >>> distribution((6, 0, 0, 3, 1, 0, 0, 0, 0, 0), ("neutral", "sadness", "anger"))
        [0.6666666666666666, 0.3333333333333333, 0.0]
    """
    counted = {name: count for name, count in zip(VOTED, votes, strict=True) if count > 1}
    total = sum(counted.get(name, 0) for name in classes)
    return [counted.get(name, 0) / total for name in classes]


def read_votes(path: Path) -> list[VotedRow]:
    """Read `fer2013new.csv`, in the order of its rows.

    Raises:
        DataError: the file cannot be read, has other columns, or has invalid rows (all are listed).
    """
    records = read_records(path)
    header = [cell.strip().lower() for cell in next(records, [])]
    if tuple(header) != _COLUMNS:
        raise DataError(f"{path}: found columns: {', '.join(header) or 'none'}; expected: {', '.join(_COLUMNS)}")
    rows, problems = [], []
    for number, cells in enumerate(records, 2):
        if not cells:
            continue
        try:
            rows.append(_row(cells))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    if problems:
        raise DataError(
            f"{path}: {len(problems)} invalid row(s):\n{listed(problems, limit=_SHOWN)}\nDownload the file again."
        )
    return rows


def _row(cells: list[str]) -> VotedRow:
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"{len(cells)} fields, expected {len(_COLUMNS)}")
    usage, image, *votes = (cell.strip() for cell in cells)
    if usage not in USAGES:
        raise ValueError(f"usage {usage[:40]!r}, expected one of {', '.join(USAGES)}")
    if "/" in image or "\\" in image or "\0" in image:
        raise ValueError(f"image name {image[:80]!r} is not a file name")
    if not all(vote.isascii() and vote.isdigit() and len(vote) < 4 for vote in votes):
        raise ValueError(f"votes {', '.join(votes)[:80]!r}, expected whole numbers")
    numbers = tuple(int(vote) for vote in votes)
    return VotedRow(usage, image, majority(numbers), numbers)
