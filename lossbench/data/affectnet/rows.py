"""The annotated rows of one split, before any row is dropped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError, listed

_SHOWN = 20  # problems listed in one message


@dataclass
class Rows:
    """The annotated images of one split.

    Attributes:
        source: file or folder of the annotations.
        ids: N names, relative to the release.
        files: N image files.
        codes: N codes, 0 to 10.
        boxes: N boxes (x, y, width, height), None for the whole image; empty if the release has no boxes.
        empty: rows whose image has zero bytes.
        missing: rows whose image does not exist.
        met: counts of other findings, by phrase.
        notes: further messages for the user.
        problems: descriptions of invalid rows.
    """

    source: Path
    ids: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int] | None] = field(default_factory=list)
    empty: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    met: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, name: str, file: str, code: int, *, empty: bool = False, missing: bool = False) -> None:
        """Append a row."""
        if empty:
            self.empty.add(len(self.ids))
        if missing:
            self.missing.add(len(self.ids))
        self.ids.append(name)
        self.files.append(file)
        self.codes.append(code)

    def checked(self) -> Rows:
        """Return the rows themselves, after checking them.

        Raises:
            DataError: there are invalid rows (all are listed), or no rows.
        """
        if self.problems:
            raise DataError(
                f"{self.source}: {len(self.problems)} invalid annotation(s):\n"
                f"{listed(self.problems, limit=_SHOWN)}\nCorrect or remove them."
            )
        if not self.ids:
            raise DataError(f"{self.source}: no annotations; is the download complete?")
        if len(self.missing) == len(self.ids):
            raise DataError(
                f"{self.source}: none of its {len(self):,} images exists; the first is expected at "
                f"{self.files[0]}. Are the images unpacked next to their annotations?"
            )
        return self
