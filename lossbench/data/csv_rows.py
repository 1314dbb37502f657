"""Read the rows of a CSV file, or say what the file is instead."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from ..strict_files import open_regular
from ..what_is import is_of_runs, kind_of_content, what_is

_HEAD = 512  # bytes
_REMEDIES = {
    "an Excel workbook": "In Excel, save it as 'CSV UTF-8'",
    "text in UTF-16": "Convert it: iconv -f UTF-16 -t UTF-8 {path} > new.csv",
    "a Parquet file": "Convert it, for example with pandas: read_parquet({path}).to_csv('new.csv', index=False)",
    "a JSON file": "Convert it, for example with pandas: read_json({path}).to_csv('new.csv', index=False)",
}


def read_records(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, or raise one clear error if it is not CSV."""
    if os.path.isdir(path):
        inside = path / "train.csv"
        form = f"csv:{inside}" if inside.is_file() else f"folder:{path}"
        hint = f"It is {what_is(path)}." if is_of_runs(path) else f"Did you mean {form!r}?"
        raise DataError(f"{path}: is a folder; expected a CSV file. {hint}")
    line, kind = 0, None
    try:
        with open_regular(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            kind = kind_of_content(raw.peek(_HEAD))
            reader = csv.reader(() if kind else file, strict=True)
            for cells in reader:
                line = reader.line_num
                yield cells
    except FileNotFoundError:
        raise DataError(f"{path}: no such manifest; expected a CSV file with columns path,label") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8. If it comes from "
            f"Excel on Windows: iconv -f CP1252 -t UTF-8 {shlex.quote(str(path))} > new.csv"
        ) from None
    except csv.Error as error:
        raise DataError(f"{path}: not CSV after line {line}: {error}; correct its quotes") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if kind is not None:
        kind = what_is(path)
        remedy = next((text for start, text in _REMEDIES.items() if kind.startswith(start)), "")
        said = f"{path}: is {kind}; expected a CSV file. {remedy.format(path=shlex.quote(str(path)))}"
        raise DataError(said.rstrip(" ."))
