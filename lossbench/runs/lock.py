"""One run a directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from .layout import LOCK


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds a run's directory.

    `lockf` locks belong to a process and are not inherited by forked loader workers: the directory is free the moment
    the run is killed, whatever its workers do. Where a file system has no locks, none is held.

    Raises:
        ConfigError: another process holds it.
    """
    path = directory / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be opened: {error.strerror or error}; it should be a file that a run makes, or absent"
            ) from error
        try:
            _take(handle, directory)
            if _is(handle, path):
                break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the run before removed it in this very moment
    try:
        with contextlib.suppress(OSError):  # for messages of other processes; a full disk must not stop the run
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _take(handle: int, directory: Path) -> None:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        holder = os.read(handle, 200).decode(errors="replace")
        raise ConfigError(
            f"{directory} is in use by another run ({holder or 'just starting'}); wait for it, or give another one"
        ) from error
    except OSError:
        pass


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
