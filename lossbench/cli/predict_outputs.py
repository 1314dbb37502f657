"""Where the rows of `predict` go, each as it comes: the terminal, JSON, a CSV file, a contact sheet."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..files import write_atomically, written_atomically
from ..harness.evaluation.predict import Prediction
from ..report.csv_table import csv_cell
from ..report.prediction_sheet import PredictionSheet
from ..report.tables.table import Table
from ..report.terminal.table import TerminalTable
from .output import JsonList
from .terminal import Console

_CHUNK = 500  # rows of a table
_SHOWN = 3  # classes of a row


class Output(Protocol):
    """Receives the rows."""

    def add(self, row: Prediction) -> None: ...

    def close(self, predicted: int) -> None:
        """Finish; `predicted` is the number of rows with a prediction."""


class JsonRows:
    """One JSON array on standard output, printed row by row."""

    def __init__(self, names: Sequence[str], top: int | None) -> None:
        self._names, self._top, self._list = names, top, JsonList()

    def add(self, row: Prediction) -> None:
        self._list.add(row.content(self._names, self._top))

    def close(self, predicted: int) -> None:
        self._list.close()


class TableRows:
    """Tables on standard output, of at most 500 rows each so that none is kept for long."""

    def __init__(self, names: Sequence[str], top: int | None, detected: bool) -> None:
        self._names, self._top, self._detected = names, top or _SHOWN, detected
        self._rows: list[Prediction] = []
        self._printed = False

    def add(self, row: Prediction) -> None:
        self._rows.append(row)
        if len(self._rows) == _CHUNK:
            self._print()

    def close(self, predicted: int) -> None:
        if self._rows and (predicted or self._printed):
            self._print()

    def _print(self) -> None:
        others = self._top > 1 and len(self._names) > 1
        failed = any(row.error is not None for row in self._rows)
        columns = ["image", *(["face"] if self._detected else []), "class", "probability"]
        columns += [*(["next"] if others else []), *(["error"] if failed else [])]
        rows = []
        for row in self._rows:
            ranked, values = row.ranked(self._top), row.probabilities
            cells = [row.path, *([_face(row)] if self._detected else [])]
            if values is None:
                cells += ["-", "-", *(["-"] if others else [])]
            else:
                following = ", ".join(f"{self._names[c]} {values[c]:.3f}" for c in ranked[1:])
                cells += [self._names[ranked[0]], f"{values[ranked[0]]:.3f}", *([following] if others else [])]
            rows.append((*cells, *([row.error or ""] if failed else [])))
        text = frozenset({"class", "next", "error", "face"})
        Console().print(TerminalTable(Table("predictions", "", tuple(columns), tuple(rows), text=text)))
        self._rows, self._printed = [], True


def _face(row: Prediction) -> str:
    return "none" if row.face is None else f"{row.face} of {row.faces}"


class CsvRows:
    """A CSV file: one column per class, or with `top` the most probable classes with their probabilities."""

    def __init__(self, file: io.TextIOBase, names: Sequence[str], top: int | None, detected: bool) -> None:
        self._writer, self._names, self._top = csv.writer(file, lineterminator="\n"), names, top
        self._detected = detected
        ranks = range(2, min(top or 1, len(names)) + 1)
        header = ["path", *(("face", "faces", "score", "left", "top", "right", "bottom") if detected else ())]
        header += ["class", "probability", *(part for k in ranks for part in (f"class_{k}", f"probability_{k}"))]
        header += [f"probability_{name}" for name in names] if top is None else []
        self._writer.writerow([csv_cell(cell) for cell in (*header, "error")])

    @classmethod
    @contextlib.contextmanager
    def to(cls, path: Path, names: Sequence[str], top: int | None, detected: bool) -> Iterator[CsvRows]:
        """Write to a file that appears when the context ends."""
        with written_atomically(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
            yield cls(text, names, top, detected)
            text.flush()
            text.detach()

    def add(self, row: Prediction) -> None:
        ranked = row.ranked(self._top)
        values = [] if row.probabilities is None else [f"{value:.6g}" for value in row.probabilities.tolist()]
        cells = [row.path]
        if self._detected:
            place = (row.face, row.faces, row.score, *(row.box or (None,) * 4))
            cells += ["" if value is None else f"{value:.6g}" for value in place]
        shown = max(1, min(self._top or 1, len(self._names)))
        for k in range(shown):
            cells += [self._names[ranked[k]], values[ranked[k]]] if values else ["", ""]
        if self._top is None:
            cells += values or [""] * len(self._names)
        self._writer.writerow([csv_cell(cell) for cell in (*cells, row.error or "")])

    def close(self, predicted: int) -> None:
        """Do nothing: the context ends the file."""


class Sheet:
    """A contact sheet, written when all rows have come.

    Args:
        path: PNG file.
        names: class names.
        title: title of the sheet.
    """

    def __init__(self, path: Path, names: Sequence[str], title: str) -> None:
        self._path, self._sheet = path, PredictionSheet(names, title)

    def add(self, row: Prediction) -> None:
        if row.probabilities is None or row.pixels is None:
            self._sheet.add_error()
            return
        (best,) = row.ranked(1)
        name = Path(row.path).name if row.face is None else f"{row.face}: {Path(row.path).name}"
        self._sheet.add(best, float(row.probabilities[best]), row.pixels, name)

    def close(self, predicted: int) -> None:
        picture = self._sheet.draw()
        write_atomically(self._path, lambda file: picture.save(file, "PNG", optimize=True))
