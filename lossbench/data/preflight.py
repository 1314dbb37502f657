"""Decodes every image file once before training, so that all that can't be read is known before the first epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from ..errors import DataError, listed
from .decode import Box, why_not_as_listed, why_unreadable
from .files import Progress, each_file
from .readable_cache import ReadableFiles
from .table import ImageTable

_SHOWN = 50


def unreadable(
    tables: Iterable[ImageTable],
    threads: int | None = None,
    progress: Progress | None = None,
    known: ReadableFiles | None = None,
) -> list[tuple[Path, str]]:
    """Files that can't be decoded, each with the reason, in the order of the tables.

    A file whose SHA-256 the table has is read each time and compared: a byte that was lost in an image is seldom seen
    by decoding it.

    Args:
        tables: those without paths are skipped; a file in several is decoded once.
        threads: how many decode at a time (Pillow releases the interpreter); as many as cores by default.
        progress: called with the number of files done and of all.
        known: files that need not be decoded again; what is found readable is added.
    """
    tables = list(tables)
    listed_as: dict[Path, str] = {}
    rows: dict[Path, int] = {}
    for table in tables:
        if table.paths is not None:
            listed_as |= dict(zip(table.paths, table.sha256s or (), strict=table.sha256s is not None))
            rows |= dict(zip(table.paths, table.manifest_rows or (), strict=table.manifest_rows is not None))

    def look(path: Path, box: Box | None) -> str | None:
        if (digest := listed_as.get(path)) and (reason := why_not_as_listed(path, digest)):
            return reason
        key = None if known is None else known.key(path, box)
        if known is not None and key in known:
            return None
        reason = why_unreadable(path, box)
        if known is not None and reason is None:
            known.add(key)
        return reason

    looked = list(each_file(tables, look, threads, progress))
    if known is not None:
        known.save()
    return [
        (path, f"{reason} (row {rows[path]})" if path in rows else reason)
        for path, reason in looked
        if reason is not None
    ]


def unreadable_error(found: Collection[tuple[Path, str]]) -> DataError:
    """The error for what `unreadable` found.

    Example:
        >>> print(unreadable_error([(Path("a.jpg"), "zero bytes")]))
        1 image(s) can't be read:
          a.jpg: zero bytes
        Replace or remove them, or pass --skip-unreadable to go on without them.
    """
    rows = [f"{path}: {reason}" for path, reason in found]
    return DataError(
        f"{len(rows)} image(s) can't be read:\n{listed(rows, limit=_SHOWN)}\n"
        "Replace or remove them, or pass --skip-unreadable to go on without them."
        + (" lossbench data inspect --deep --json lists them all." if len(rows) > _SHOWN else "")
    )


def drop(table: ImageTable, paths: Collection[Path]) -> tuple[ImageTable, tuple[str, ...]]:
    """The table without these files, and the sample ids that were dropped.

    A class may lose its last image by that: `check_splits` belongs after it.
    """
    if table.paths is None or not paths:
        return table, ()
    gone = set(paths)
    keep = np.array([path not in gone for path in table.paths], dtype=np.bool_)
    if keep.all():
        return table, ()
    return table.subset(np.flatnonzero(keep)), tuple(table.sample_ids[row] for row in np.flatnonzero(~keep).tolist())
