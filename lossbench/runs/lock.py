"""Lock the directory of a run, so that two processes never write to it at the same time."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from ..strict_files import open_regular
from .layout import LOCK

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, process


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a run's directory.

    On Unix this is a `lockf` lock. It belongs to a process and is not inherited by forked loader workers: the directory
    is free the moment the run is killed, whatever its workers do. On a file system without locks, none is held.

    Raises:
        ConfigError: another process holds the lock.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:  # Windows
        with _file_locked(directory):
            yield
        return
    path = directory / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be opened: {error.strerror or error}; expected a file that a run created, or none"
            ) from error
        try:
            _take(handle, directory)
            if _is(handle, path):
                break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the previous run removed the file at this moment
    try:
        with contextlib.suppress(OSError):  # for messages of other processes; a full disk must not stop the run
            os.ftruncate(handle, 0)
            os.write(handle, holder().encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def holder() -> str:
    """Return how a lock names this process.

    Example:
        >>> holder().startswith(f"process {os.getpid()} on ")
        True
    """
    return f"process {os.getpid()} on {socket.gethostname()}"


def is_locked(directory: Path) -> bool:
    """Return whether another process holds the lock of a directory, without taking it.

    Except on Linux, a lock file counts as a lock.
    """
    try:
        with open_regular(directory / LOCK, links=False) as file:
            if sys.platform != "linux":
                return True
            import fcntl

            # Unlike an attempt to lock, a query cannot make a process that wants the lock fail.
            wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind: int = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, wanted))[0]
            return kind != fcntl.F_UNLCK
    except OSError:
        return False


def _in_use(directory: Path, by: str) -> ConfigError:
    return ConfigError(
        f"{directory} is in use by another run ({by or 'just starting'}); wait for it, or pass another directory"
    )


def _take(handle: int, directory: Path) -> None:
    import fcntl

    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise _in_use(directory, os.read(handle, 200).decode(errors="replace")) from error
    except OSError:
        pass


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _file_locked(directory: Path) -> Iterator[None]:
    """Hold the lock by the means that filelock has for the system."""
    from filelock import FileLock, Timeout

    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise _in_use(directory, "its process is not known on this system") from error
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            (directory / LOCK).unlink()
