"""Read the rows of a CSV file, and find its columns."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError, did_you_mean

_PATH_COLUMNS = ("filename", "file", "filepath", "file_name", "image", "image_path", "img", "pth")  # to suggest


def read_records(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, or raise one clear error if it is not CSV."""
    if os.path.isdir(path):
        inside = path / "train.csv"
        form = f"csv:{inside}" if inside.is_file() else f"folder:{path}"
        raise DataError(f"{path}: is a folder; expected a CSV file. Did you mean {form!r}?")
    line = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                line = reader.line_num
                yield cells
    except FileNotFoundError:
        raise DataError(f"{path}: no such manifest; expected a CSV file with columns path,label") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: not CSV after line {line}: {error}; correct its quotes") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None


def columns_of(path: Path, header: list[str], label_column: str, path_column: str) -> dict[str, int]:
    """Return the position of each column by name, after checking that the required columns exist."""
    if not any(header):
        raise DataError(f"{path}: empty; expected a header with the columns {path_column},{label_column}")
    found = f"found columns: {', '.join(header)}; expected: {path_column}, {label_column}"
    if repeated := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise DataError(f"{path}: column {repeated[0]!r} occurs more than once; {found}")
    for column in (path_column, label_column):
        if column not in header:
            separator = next((mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]), None)
            hint = f"Fields are separated by commas, not {separator!r}." if separator else did_you_mean(column, header)
            option = " Pass --label COLUMN to use another label column." if column == label_column else ""
            if column == path_column and (like := [name for name in header if name.lower() in _PATH_COLUMNS]):
                option = f" Pass --path-column {like[0]}."
            raise DataError(f"{path}: no column {column!r}; {found}. {hint}{option}")
    return {name: position for position, name in enumerate(header)}
