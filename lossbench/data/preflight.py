"""Decode every image file once before training, so that unreadable files are reported before the first epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from ..errors import DataError, listed
from .decode import check_file, why_not_as_listed
from .decoder_warnings import decoder_warning
from .files import Progress, each_file
from .readable_cache import ReadableFiles
from .table import ImageTable
from .upright import Box

_SHOWN = 50
_SKIP = ", or pass --skip-unreadable to skip them"


def unreadable(
    tables: Iterable[ImageTable],
    threads: int | None = None,
    progress: Progress | None = None,
    known: ReadableFiles | None = None,
    warned: list[tuple[Path, str]] | None = None,
    pixels: dict[Path, bytes] | None = None,
) -> list[tuple[Path, str]]:
    """Return the files that cannot be decoded, each with the reason, in the order of the tables.

    A file with a SHA-256 in the table is always read and compared, because most corrupted bytes of an image do not make
    decoding fail.

    Args:
        tables: tables; those without paths are skipped, and each file is decoded once.
        threads: number of decoding threads (Pillow releases the GIL; default: one per core).
        progress: called with the number of processed files and the total.
        known: files that need not be decoded again; readable files are added.
        warned: receives the readable files about which the decoder warns, with the warning.
        pixels: receives the digests of the pixels of readable files.
    """
    tables = list(tables)
    listed_as: dict[Path, str] = {}
    rows: dict[Path, int] = {}
    for table in tables:
        if table.paths is not None:
            listed_as |= dict(zip(table.paths, table.sha256s or (), strict=table.sha256s is not None))
            rows |= dict(zip(table.paths, table.manifest_rows or (), strict=table.manifest_rows is not None))

    def look(path: Path, box: Box | None) -> str | None:
        if (sha256 := listed_as.get(path)) and (reason := why_not_as_listed(path, sha256)):
            return reason
        key = None if known is None else known.key(path, box)
        if known is not None and key in known:
            if pixels is not None:
                pixels[path] = known.pixels(key)
            return None
        reason, digest = check_file(path, box)
        if pixels is not None and reason is None:
            pixels[path] = digest
        if warned is not None and reason is None and (text := decoder_warning()):
            warned.append((path, text))
        if known is not None and reason is None:
            known.add(key, digest)
        return reason

    looked = list(each_file(tables, look, threads, progress))
    if known is not None:
        known.save()
    return [
        (path, f"{reason} (row {rows[path]})" if path in rows else reason)
        for path, reason in looked
        if reason is not None
    ]


def warned_note(warned: Collection[tuple[Path, str]]) -> str:
    """Return a line about readable files that the decoder warns about, counted by file."""
    path, text = min(warned)
    return f"the decoder warns about {len(warned):,} readable image(s), such as {path}: {text}"


def unreadable_error(found: Collection[tuple[Path, str]], remedy: str = _SKIP) -> DataError:
    """Return the error for the unreadable files.

    Args:
        found: files with reasons.
        remedy: what the command offers besides replacing the files.

    Example:
        >>> print(unreadable_error([(Path("a.jpg"), "zero bytes")]))
        Cannot read 1 image(s):
          a.jpg: zero bytes
        Replace or remove these files, or pass --skip-unreadable to skip them.
    """
    rows = [f"{path}: {reason}" for path, reason in found]
    return DataError(
        f"Cannot read {len(rows)} image(s):\n{listed(rows, limit=_SHOWN)}\n"
        f"Replace or remove these files{remedy}."
        + (" lossbench data inspect --deep --json lists all of them." if len(rows) > _SHOWN else "")
    )


def drop(table: ImageTable, paths: Collection[Path]) -> tuple[ImageTable, tuple[str, ...]]:
    """Return the table without these files, and the dropped sample ids.

    A class can lose its last image, so call `check_splits` afterwards.
    """
    if table.paths is None or not paths:
        return table, ()
    gone = set(paths)
    keep = np.array([path not in gone for path in table.paths], dtype=np.bool_)
    if keep.all():
        return table, ()
    return table.subset(np.flatnonzero(keep)), tuple(table.sample_ids[row] for row in np.flatnonzero(~keep).tolist())
