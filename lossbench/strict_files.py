"""Open files of others: regular files only, no links, no waiting, and never more than a bound."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

from .errors import LossbenchError, RecordError

_CHUNK = 2**20


def open_regular(path: str | os.PathLike[str], *, links: bool = True) -> BufferedReader:
    """Open a regular file for reading; pipes, sockets and devices are refused without reading or waiting.

    Args:
        path: the file.
        links: follow a symbolic link, which is right for a file that the user names, and wrong for files within a
            directory.

    Raises:
        OSError: it is missing, not a regular file, or cannot be opened.
        ValueError: its name holds a NUL.
    """
    # Windows has neither flag.
    more = getattr(os, "O_NONBLOCK", 0) | (0 if links else getattr(os, "O_NOFOLLOW", 0))
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | more))  # noqa: SIM115  # the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return file


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
        file = open_regular(path, links=links)
    except (OSError, ValueError) as failure:
        if not links and os.path.islink(path):
            raise error(f"{path} is a symbolic link; expected a regular file") from failure
        if isinstance(failure, IsADirectoryError) or getattr(failure, "errno", None) in (errno.EINVAL, errno.ENXIO):
            raise error(f"{path} is not a regular file") from failure
        raise error(f"{path}: {getattr(failure, 'strerror', None) or failure}") from failure
    with file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise error(f"{path} has {size:,} bytes; at most {most:,} are read")
        yield file


def read_bytes(path: Path, most: int, *, links: bool = False, error: type[LossbenchError] = RecordError) -> bytes:
    """Return the content of a regular file of at most `most` bytes, reading only what is there.

    Args:
        path, most, links, error: as for `opened`.

    Raises:
        LossbenchError: as `opened`.
    """
    parts: list[bytes] = []
    left = most + 1
    try:
        with opened(path, most, links=links, error=error) as file:
            wanted = os.fstat(file.fileno()).st_size + 1  # all of it at once: the content is not copied
            while left and (part := file.read(min(wanted, left))):
                parts.append(part)
                left -= len(part)
                wanted = _CHUNK
    except OSError as failure:
        raise error(f"{path}: {failure.strerror or failure}") from failure
    if not left:
        raise error(f"{path} grew beyond {most:,} bytes while it was read")
    return b"".join(parts)


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
