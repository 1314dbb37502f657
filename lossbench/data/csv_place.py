"""`csv:FILE?root=DIR&path-column=NAME&label=NAME`: a manifest with options of its own, for `--data` and `--val`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from .request import Request
from .spec_options import path_and_options, written_path

_OPTIONS = ("root", "path-column", "label")


@dataclass(frozen=True, kw_only=True)
class CsvPlace:
    """A manifest and how it is read; None where the command line decides.

    Attributes:
        path: the CSV file.
        root: folder that its paths start from.
        path_column: name of its path column.
        label: name of its label column.
    """

    path: Path
    root: str | None = None
    path_column: str | None = None
    label: str | None = None

    def of(self, request: Request) -> Request:
        """Return a request for this manifest, whose own options come first."""
        return dataclasses.replace(
            request,
            path=self.path,
            root=self.root or request.root,
            path_column=self.path_column or request.path_column,
            label=self.label or request.label,
        )


def csv_place(written: str) -> CsvPlace:
    """Read the path of a manifest with the options that follow a question mark.

    A file whose name contains the question mark is read as it is.

    Raises:
        DataError: an option is unknown, has no value, or is given twice.

    Example:
        >>> place = csv_place("lists/all.csv?root=images&path-column=filename")
        >>> str(place.path), place.root, place.path_column
        ('lists/all.csv', 'images', 'filename')
    """
    name, given = path_and_options("csv", written, _OPTIONS, "csv:FILE?root=DIR&path-column=NAME")
    return CsvPlace(
        path=written_path(name),
        root=given.get("root"),
        path_column=given.get("path-column"),
        label=given.get("label"),
    )
