"""Open files of others: regular files only, no links, no waiting, and never more than a bound."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import RecordError

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 2**20


@contextlib.contextmanager
def opened(path: Path, most: int) -> Iterator[IO[bytes]]:
    """Open a regular file; symbolic links, pipes, sockets and devices are refused without reading or waiting.

    Args:
        path: the file.
        most: bytes it may have.

    Raises:
        RecordError: it is missing, not a regular file, too large, or cannot be read.
    """
    try:
        handle = os.open(path, _FLAGS)
    except OSError as error:
        if path.is_symlink():
            raise RecordError(f"{path} is a symbolic link; expected a regular file") from error
        raise RecordError(f"{path}: {error.strerror or error}") from error
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RecordError(f"{path} is not a regular file")
        if status.st_size > most:
            raise RecordError(f"{path} has {status.st_size:,} bytes; at most {most:,} are read")
        yield file


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes, reading only what is there.

    Raises:
        RecordError: as `opened`.
    """
    parts, left = [], most + 1
    try:
        with opened(path, most) as file:
            while left and (part := file.read(min(_CHUNK, left))):
                parts.append(part)
                left -= len(part)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from error
    if not left:
        raise RecordError(f"{path} grew beyond {most:,} bytes while it was read")
    return b"".join(parts)
