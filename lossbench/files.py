"""Files that are written whole or not at all, and digests of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import ConfigError, LossbenchError, StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def plain(text: str) -> str:
    """Letters, digits and points, the rest as single hyphens."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == ".") else "-" for c in text)
    return "-".join(filter(None, kept.split("-")))[:60].strip("-.")


def plain_names(keys: Iterable[str]) -> list[str]:
    """Return the plain form of each key, with a number where two are equal.

    Example:
        >>> plain_names(["map-a+b", "map-a*b", "cost"])
        ['map-a-b', 'map-a-b-2', 'cost']
    """
    names: list[str] = []
    for key in keys:
        name, number = plain(key), 1
        while (candidate := name if number == 1 else f"{name}-{number}") in names:
            number += 1
        names.append(candidate)
    return names


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes beside, syncs, and renames: a reader sees the old file or the new one, whole.

    Raises:
        StorageError: the disk is full; the old file is left as it was.
        ConfigError: the file can't be written for another reason; the old file is left as it was.
    """
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            beside = Path(file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
        sync_directory(path.parent)
    except BaseException as error:
        if beside is not None:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise not_written(path, error) from error
        raise


def write_synced(path: Path, content: bytes, whole: Path) -> None:
    """Writes a new file and syncs it.

    Args:
        path: the file.
        content: all of it.
        whole: what it is to be a part of, for the message.

    Raises:
        StorageError, ConfigError: as `write_atomically`.
    """
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise not_written(whole, error, len(content)) from error


def sync_directory(path: Path) -> None:
    """Makes names that were written or renamed in a directory last, where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def not_written(path: Path, error: OSError, size: int | None = None) -> LossbenchError:
    """The error for a file that could not be written; `size` bytes were needed."""
    if error.errno not in _FULL:
        return ConfigError(f"{path} can't be written: {error.strerror or error}; make room or write elsewhere")
    need = "" if size is None else f", {size:,} bytes are needed"
    with contextlib.suppress(OSError):
        need += f", {shutil.disk_usage(path.parent).free:,} are free"
    what = "the file-size limit is reached" if error.errno == errno.EFBIG else "the disk is full"
    return StorageError(
        f"{path} can't be written: {what} ({error.strerror}){need}. What was there before is whole. Make room; an "
        "interrupted run goes on by: lossbench run --resume DIR"
    )


def write_json(path: Path, content: object) -> None:
    """JSON with null for what is undefined; a NaN in it is a programming error and raises."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    write_atomically(path, lambda file: file.write(content))


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Arrays as a compressed npz file."""
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
