"""Open files of others: regular files only, no links, no waiting, and never more than a bound."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import LossbenchError, RecordError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 2**20


@contextlib.contextmanager
def opened(
    path: Path, most: int, *, links: bool = False, error: type[LossbenchError] = RecordError
) -> Iterator[IO[bytes]]:
    """Open a regular file; pipes, sockets and devices are refused without reading or waiting.

    Args:
        path: the file.
        most: bytes it may have.
        links: follow a symbolic link, which is right for a file that the user names, and wrong for files within a
            directory.
        error: the error to raise.

    Raises:
        LossbenchError: of the type `error`: the file is missing, not a regular file, too large, or cannot be read.
    """
    try:
        handle = os.open(path, _FLAGS | (0 if links else os.O_NOFOLLOW))
    except (OSError, ValueError) as failure:
        if not links and os.path.islink(path):
            raise error(f"{path} is a symbolic link; expected a regular file") from failure
        raise error(f"{path}: {getattr(failure, 'strerror', None) or failure}") from failure
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path} is not a regular file")
        if status.st_size > most:
            raise error(f"{path} has {status.st_size:,} bytes; at most {most:,} are read")
    except BaseException:
        os.close(handle)
        raise
    with open(handle, "rb") as file:
        yield file


def read_bytes(path: Path, most: int, *, links: bool = False, error: type[LossbenchError] = RecordError) -> bytes:
    """Return the content of a regular file of at most `most` bytes, reading only what is there.

    Args:
        path, most, links, error: as for `opened`.

    Raises:
        LossbenchError: as `opened`.
    """
    content = bytearray()
    try:
        with opened(path, most, links=links, error=error) as file:
            while len(content) <= most and (part := file.read(min(_CHUNK, most + 1 - len(content)))):
                content += part
    except OSError as failure:
        raise error(f"{path}: {failure.strerror or failure}") from failure
    if len(content) > most:
        raise error(f"{path} grew beyond {most:,} bytes while it was read")
    return bytes(content)


def check_within(root: Path, *names: str) -> Path:
    """Return a directory below another, each step of which is a directory and not a link.

    Args:
        root: where to start; it may be a link, since the user names it.
        names: one name per step.

    Raises:
        RecordError: a step leads elsewhere or is missing.
    """
    place = root
    for name in names:
        if not name or name in (".", "..") or "/" in name or os.sep in name or "\0" in name:
            raise RecordError(f"{name!r} is not the name of a directory within {place}")
        place = place / name
        try:
            mode = os.lstat(place).st_mode
        except OSError as failure:
            raise RecordError(f"{place}: {failure.strerror or failure}") from failure
        if stat.S_ISLNK(mode):
            raise RecordError(f"{place} is a symbolic link; copy the directory there instead")
        if not stat.S_ISDIR(mode):
            raise RecordError(f"{place} is not a directory")
    return place
