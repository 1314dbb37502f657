"""Decodes every image file once before training, so that all that can't be read is known before the first epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from ..errors import DataError, listed
from .decode import why_unreadable
from .files import Progress, each_file
from .table import ImageTable

_SHOWN = 50


def unreadable(
    tables: Iterable[ImageTable],
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[tuple[Path, str]]:
    """Files that can't be decoded, each with the reason, in the order of the tables.

    Args:
        tables: those without paths are skipped; a file in several is decoded once.
        threads: how many decode at a time (Pillow releases the interpreter); as many as cores by default.
        progress: called with the number of files done and of all.
    """
    looked = each_file(tables, why_unreadable, threads, progress)
    return [(path, reason) for path, reason in looked if reason is not None]


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
