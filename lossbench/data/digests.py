"""Add the SHA-256 of each file to a manifest, so that a run detects changed bytes that still decode."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from pathlib import Path

from ..errors import DataError
from ..strict_files import open_regular
from ..what_is import what_is
from .csv_rows import read_records
from .files import Progress, each_file
from .labels import class_order
from .manifest import read_csv_manifest
from .manifest_table import manifest_table


def manifest_with_digests(
    path: Path,
    label_column: str = "label",
    progress: Progress | None = None,
    *,
    path_column: str = "path",
    root: Path | None = None,
) -> str:
    """Return a CSV manifest with a column `sha256`, replacing an existing one.

    Args:
        path: path of the manifest, which is checked as for a run.
        label_column: name of its label column.
        progress: called with the number of processed files and the total.
        path_column: name of its path column.
        root: folder that its paths start from; None for that of the manifest.

    Raises:
        DataError: as `read_csv_manifest`, or for a file that cannot be read.
    """
    if os.path.isdir(path):
        raise DataError(f"{path}: expected a manifest (CSV); it is {what_is(path)}")
    manifest = read_csv_manifest(path, label_column, path_column=path_column, root=root)
    table = manifest_table(str(path), manifest, class_order(manifest.labels))
    digests = dict(each_file([table], lambda file, box: _sha256(file), progress=progress))
    header, *rows = read_records(path)
    names = [name.strip() for name in header]
    kept = [position for position, name in enumerate(names) if name != "sha256"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(names[position] for position in kept), "sha256"])
    assert manifest.rows is not None
    for number, file in zip(manifest.rows, manifest.files, strict=True):  # rows that repeat another one are dropped
        writer.writerow([*(rows[number - 2][position] for position in kept), digests[file]])
    return out.getvalue()


def _sha256(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{os.fspath(file)}: cannot read: {error.strerror or error}") from None
