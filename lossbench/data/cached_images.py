"""Read tables from a cache of decoded images, and make the cache where there is none that fits."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from ..errors import ConfigError, DataError
from .files import Progress, box_of
from .image_cache import ImageCache, UnusableCacheError
from .make_cache import Source, write_cache
from .readable_cache import ReadableFiles
from .reading import Reading
from .table import ImageTable, Int64Array, Pixels
from .upright import Box


@dataclass(frozen=True)
class CachedRows:
    """Reads one row of a table from a cache.

    Attributes:
        cache: the cache.
        rows: (N,) number of each row's image in the cache.
    """

    cache: ImageCache
    rows: Int64Array

    def __call__(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels(row))

    def pixels(self, row: int) -> Pixels:
        """Return the (H, W, 3) pixels of a row."""
        return self.cache.pixels(int(self.rows[row]))


@dataclass(frozen=True, kw_only=True)
class MadeCache:
    """A cache that fits the files of some tables.

    Attributes:
        cache: the cache.
        numbers: file and box -> number of the image in the cache.
        written: whether it was written now.
        unreadable: files that cannot be read and are left out, each with the reason.
    """

    cache: ImageCache
    numbers: Mapping[tuple[Path, Box | None], int]
    written: bool = False
    unreadable: tuple[tuple[Path, str], ...] = ()

    def of(self, table: ImageTable) -> ImageTable:
        """Return a table, all of whose files are in the cache, with its images read from the cache."""
        rows = CachedRows(self.cache, np.array([self.numbers[place] for place in _places(table)], dtype=np.int64))
        return dataclasses.replace(table, read=rows, pixels=rows.pixels if self.cache.reading.is_fast else None)


def open_or_make(
    path: Path,
    tables: Sequence[ImageTable],
    reading: Reading,
    *,
    known: ReadableFiles,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Progress | None = None,
) -> MadeCache:
    """Open the cache of the files of these tables, or make it: once, however many processes need it.

    A cache that lacks files, or was made before some of them changed, is made again; images of unchanged files are
    taken from it.

    Args:
        path: path of the cache.
        tables: tables of files.
        reading: how their images are read.
        known: computes the keys by which files are recognized.
        say: receives a sentence when the cache is made.
        warn: receives the reason why a cache that exists is made again.
        progress: called with the number of processed files and the total.

    Raises:
        DataError: the tables are not files.
        StorageError, ConfigError: the cache cannot be written.
    """
    places = dict.fromkeys(place for table in tables for place in _places(table))
    sources = [Source(known.key(file, box), file, box) for file, box in places]
    found, reason = _open(path, reading, sources)
    if found is not None and not reason:
        return MadeCache(cache=found, numbers=_numbers(found, sources))
    with _alone(path, say):
        found, reason = _open(path, reading, sources)  # another process may have made it
        if found is not None and not reason:
            return MadeCache(cache=found, numbers=_numbers(found, sources))
        if reason:
            warn(f"{path} {reason} and is made again")
        say(f"decoding {len(sources):,} images into {path}")
        once = list({source.key or source.path: source for source in sources}.values())  # by content, copies are equal
        unreadable = write_cache(path, once, reading, old=found, progress=progress)
    made = ImageCache(path, reading)
    return MadeCache(cache=made, numbers=_numbers(made, sources), written=True, unreadable=tuple(unreadable))


def _open(path: Path, reading: Reading, sources: Collection[Source]) -> tuple[ImageCache | None, str]:
    """Return the cache if it can be read, and why it does not serve: empty if it does or if there is none."""
    try:
        cache = ImageCache(path, reading)
    except FileNotFoundError:
        return None, ""
    except UnusableCacheError as error:
        return None, f"cannot be used ({error})"
    entries = cache.entries()
    missing = sum(source.key not in entries for source in sources)
    return cache, f"is out of date ({missing:,} of {len(sources):,} images are new or have changed)" if missing else ""


@contextlib.contextmanager
def _alone(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a cache, and remove what a process left that was killed while it wrote the cache."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting for another process, which makes {path}")
            lock.acquire()
    except OSError as error:
        raise ConfigError(
            f"cannot write the cache {path}: {error.strerror or error}; pass --cache-dir with a folder that can be "
            "written"
        ) from error
    try:
        for left in path.parent.glob(f".{path.name}.*"):
            if left.name != f".{path.name}.lock":
                left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _numbers(cache: ImageCache, sources: Sequence[Source]) -> dict[tuple[Path, Box | None], int]:
    """Return file and box -> number of the image, for the files that are in the cache."""
    entries = cache.entries()
    return {(path, box): entries[key] for key, path, box in sources if key in entries}


def _places(table: ImageTable) -> list[tuple[Path, Box | None]]:
    """Return the file and the box of each row."""
    if table.paths is None:
        raise DataError(f"{table.name}: its images are not files, so none are decoded; leave out the cache on disk")
    return [(path, box_of(table.boxes, row)) for row, path in enumerate(table.paths)]
