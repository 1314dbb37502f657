"""`csv:FILE?root=DIR&path-column=NAME&label=NAME`: a manifest with options of its own, for `--data` and `--val`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, did_you_mean
from .request import Request

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
    name, mark, query = written.rpartition("?")
    if not mark or os.path.lexists(os.path.expanduser(written)):
        return CsvPlace(path=Path(os.path.expanduser(written)))
    given: dict[str, str] = {}
    for part in query.split("&"):
        key, equals, value = part.partition("=")
        key = key.strip().replace("_", "-")
        if key not in _OPTIONS:
            raise DataError(f"csv:{written}: unknown option {key!r}. {did_you_mean(key, _OPTIONS)}")
        if not equals or not value.strip() or key in given:
            raise DataError(f"csv:{written}: expected one value of {key}, as in csv:FILE?root=DIR&path-column=NAME")
        given[key] = value.strip()
    return CsvPlace(
        path=Path(os.path.expanduser(name)),
        root=given.get("root"),
        path_column=given.get("path-column"),
        label=given.get("label"),
    )
