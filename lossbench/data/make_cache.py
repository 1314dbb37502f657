"""Write a cache of decoded images: in parallel, atomically, and never to the last byte of a disk."""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL

from ..errors import DataError, StorageError
from ..files import written_atomically
from ..machine.limits import usable_cores
from .files import Progress
from .image_cache import BLOCK, ENTRY, Head, ImageCache, sources_digest
from .read_images import decode_as
from .reading import Reading
from .upright import Box

_BATCH = 16  # images per task
_AHEAD = 4  # tasks per thread that may be finished before they are written
_TRIED = 16  # images from which the size of the cache is estimated
_KEPT_BYTES, _KEPT_SHARE = 2**30, 0.05  # of the disk, the smaller of which stays free


class Source(NamedTuple):
    """An image file to cache.

    Attributes:
        key: key of the file, its box and the decoder, which changes with them; None if the file cannot be read.
        path: path of the file.
        box: part of it; None for all.
    """

    key: bytes | None
    path: Path
    box: Box | None


class _Decoded(NamedTuple):
    """An image to write, or why there is none."""

    source: Source
    height: int = 0
    width: int = 0
    data: bytes = b""
    reason: str = ""


_Decode = Callable[[Source], _Decoded]


def write_cache(
    path: Path,
    sources: Sequence[Source],
    reading: Reading,
    *,
    old: ImageCache | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[tuple[Path, str]]:
    """Write a cache and return the files that cannot be read, which are left out, each with the reason.

    Args:
        path: path of the cache.
        sources: image files, with different keys.
        reading: how the images are read.
        old: a cache of the same reading, whose images are taken where their files have not changed.
        threads: number of decoding threads (default: one per core).
        progress: called with the number of processed files and the total.

    Raises:
        StorageError: the cache would fill the disk; an old file stays as it is.
        ConfigError: it cannot be written.
    """
    known = {} if old is None else old.entries()

    def decoded(source: Source) -> _Decoded:
        if old is not None and source.key in known:
            pixels = old.pixels(known[source.key])
            return _Decoded(source, pixels.shape[0], pixels.shape[1], pixels.tobytes())
        try:
            image = decode_as(reading, source.path, source.box)
        except DataError as error:
            return _Decoded(source, reason=str(error).removeprefix(f"{source.path}: "))
        return _Decoded(source, image.height, image.width, image.tobytes())

    _check_space(path, sources, decoded)
    unreadable = []
    index = np.zeros(len(sources), dtype=ENTRY)
    with written_atomically(path) as file:
        number, start = 0, BLOCK + index.nbytes
        file.seek(start)
        for done, one in enumerate(_in_order(sources, decoded, threads), start=1):
            if one.source.key is None or one.reason:
                unreadable.append((one.source.path, one.reason or "no such file"))
            else:
                file.write(one.data)
                index[number] = (one.source.key, start, one.height, one.width, zlib.crc32(one.data))
                number, start = number + 1, start + len(one.data)
            if done % _BATCH == 0 or done == len(sources):
                if (free := _free(path)) <= 0:
                    raise StorageError(_no_space(path, f"after {done:,} of {len(sources):,} images", -free))
                if progress is not None:
                    progress(done, len(sources))
        index = index[:number]
        head = Head(
            images=number,
            source_size=reading.source_size,
            decoding=str(reading.decoding),
            pillow=PIL.__version__,
            sources=sources_digest(index["key"].tolist()),
            index=hashlib.sha256(index.tobytes()).hexdigest(),
            size=max(start, BLOCK + len(sources) * ENTRY.itemsize),
        )
        file.seek(0)
        file.write(head.block() + index.tobytes())
        file.truncate(head.size)
    return unreadable


def _in_order(sources: Sequence[Source], decode: _Decode, threads: int | None) -> Iterator[_Decoded]:
    """Decode in threads, a bounded number of images ahead of what is written, and yield the images in order."""
    number = threads or usable_cores()
    parts = (sources[start : start + _BATCH] for start in range(0, len(sources), _BATCH))
    waiting: deque[Future[list[_Decoded]]] = deque()
    pool = ThreadPoolExecutor(number)
    try:
        for part in parts:
            waiting.append(pool.submit(lambda own: [decode(source) for source in own], part))
            if len(waiting) >= _AHEAD * number:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:  # also when interrupted: do not wait for tasks that have not started
        pool.shutdown(cancel_futures=True)


def _check_space(path: Path, sources: Sequence[Source], decode: _Decode) -> None:
    """Refuse a cache that would fill the disk, by the size of a few of its images."""
    tried = [decode(sources[row]) for row in range(0, len(sources), max(1, len(sources) // _TRIED))]
    sizes = [len(one.data) for one in tried if not one.reason]
    needed = round(float(np.mean(sizes or [0])) * len(sources)) + BLOCK + len(sources) * ENTRY.itemsize
    if (missing := needed - _free(path)) > 0:
        raise StorageError(
            _no_space(path, f"the cache of {len(sources):,} images takes about {_size(needed)}", missing)
        )


def _free(path: Path) -> int:
    """Return how many bytes a cache may take on its disk; negative if the disk is already too full."""
    place = next(folder for folder in path.parents if folder.exists())
    usage = shutil.disk_usage(place)
    return usage.free - min(_KEPT_BYTES, round(_KEPT_SHARE * usage.total))


def _no_space(path: Path, what: str, missing: int) -> str:
    return (
        f"cannot write {path}: {what}, and {_size(missing)} are missing on its disk, of which a part stays free. "
        "Reduce the images (--size of data cache, --source-size of run), or pass --cache-dir with a folder on a larger "
        "disk"
    )


def _size(count: int) -> str:
    """Return a number of bytes for people.

    Example:
        >>> _size(57_000_000_000), _size(1_500_000)
        ('57.0 GB', '1.5 MB')
    """
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
