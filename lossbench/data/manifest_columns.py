"""Find the columns of a manifest by their names, or say which option or change finds them."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from pathlib import Path

from ..errors import DataError, did_you_mean
from ..file_names import IMAGE_SUFFIXES

# To suggest.
_PATH_COLUMNS = ("path", "filename", "file", "filepath", "file_name", "image", "image_path", "img", "pth")
_OPTIONAL = ("split", "person", "group", "sha256")
_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "emotion", "expression", "diagnosis")


def columns_of(path: Path, header: list[str], label_column: str, path_column: str) -> dict[str, int]:
    """Return the position of each column by name, after checking that the required columns exist.

    Optional columns are found in any case, because a table without them would be read, too.
    """
    if not any(header):
        raise DataError(f"{path}: empty; expected a header with the columns {path_column},{label_column}")
    found = f"found columns: {', '.join(header)}; expected: {path_column}, {label_column}"
    if repeated := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise DataError(f"{path}: column {repeated[0]!r} occurs more than once; {found}")
    for column in (path_column, label_column):
        if column not in header:
            raise DataError(f"{path}: no column {column!r}; {found}. {_instead(path, header, column, label_column)}")
    columns = {name: position for position, name in enumerate(header)}
    for optional in _OPTIONAL:
        alike = [name for name in header if name.lower() == optional]
        if len(alike) > 1:
            raise DataError(
                f"{path}: columns {' and '.join(map(repr, alike))} differ only in case; rename one of them; {found}"
            )
        if alike:
            columns[optional] = columns[alike[0]]
    return columns


def _instead(path: Path, header: list[str], column: str, label_column: str) -> str:
    """Return what to do about a missing column, as sentences."""
    if mark := next((mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]), None):
        reader = f"csv.reader(open({str(path)!r}, encoding='utf-8-sig', newline=''), delimiter={mark!r})"
        code = f"import csv, sys; csv.writer(sys.stdout).writerows({reader})"
        quoted = shlex.quote(code) if set('"$`\\') & set(str(path)) else f'"{code}"'
        return f"Fields are separated by commas, not {mark!r}. Convert it: python -c {quoted} > new.csv"
    if any(os.path.splitext(cell)[1].lower() in IMAGE_SUFFIXES for cell in header):
        return "The first row seems to be an image's: add a row with the names of the columns above it."
    is_label = column == label_column
    option, usual = ("--label", _LABEL_COLUMNS) if is_label else ("--path-column", _PATH_COLUMNS)
    same = [name for name in header if name.lower() == column.lower()]
    like = [name for name in header if name.lower() in usual] if column in ("path", "label") else []
    if same or like:
        return f"{did_you_mean(column, header)} Pass {option} {(same or like)[0]}."
    return did_you_mean(column, header) + (f" Pass {option} COLUMN to use another label column." if is_label else "")
