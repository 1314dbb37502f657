"""Write files atomically, and compute digests of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import ConfigError, DiskFullError, LossbenchError

RESUME_RUN = "resume an interrupted run with: lossbench run --resume DIR"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: OSError) -> bool:
    """Return whether a file could not be written because of a full disk, a quota or a limit on file sizes."""
    return error.errno in _FULL


def plain(text: str) -> str:
    """Return a text with everything except letters, digits and periods replaced by single hyphens."""
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


def write_atomically(path: Path, write: Callable[[IO[bytes]], object], *, make_directory: bool = True) -> None:
    """Write to a temporary name, sync and rename, so that readers see either the old or the new file.

    Args:
        path: the file.
        write: writes its content.
        make_directory: make its directory if it does not exist. False where the directory must be there: what was
            removed or renamed is not made again.

    Raises:
        DiskFullError: the disk is full; the old file is unchanged.
        ConfigError: the file cannot be written for another reason; the old file is unchanged.
    """
    with written_atomically(path, make_directory=make_directory) as file:
        write(file)


@contextlib.contextmanager
def written_atomically(path: Path, *, make_directory: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file that takes its name when the context ends without an error, as `write_atomically` does."""
    beside = None
    try:
        if make_directory:
            path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            beside = Path(file.name)
            yield file
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
    """Write a new file and sync it.

    Args:
        path: path of the file.
        content: content of the file.
        whole: path of the directory or file of which it becomes a part, for the message.

    Raises:
        DiskFullError, ConfigError: as `write_atomically`.
    """
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise not_written(whole, error, len(content)) from error


def sync_directory(path: Path) -> None:
    """Sync a directory, so that created or renamed names persist, if the file system supports it."""
    if os.name == "nt":  # directories cannot be opened
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def not_written(path: Path, error: OSError, size: int | None = None) -> LossbenchError:
    """Return the error for a file that could not be written; `size` is the number of bytes needed."""
    if not is_full(error):
        return ConfigError(f"cannot write {path}: {error.strerror or error}; free some space or write to another place")
    need = "" if size is None else f"; {size:,} bytes are needed"
    with contextlib.suppress(OSError):
        need += f", {shutil.disk_usage(path.parent).free:,} are free"
    what = "the file-size limit is reached" if error.errno == errno.EFBIG else "the disk is full"
    return DiskFullError(
        f"cannot write {path}: {what} ({error.strerror}){need}. Existing files are unchanged. Free some space; "
        f"{RESUME_RUN}"
    )


def write_json(path: Path, content: object, *, make_directory: bool = True) -> None:
    """Write JSON; a NaN is a programming error and raises an error."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n", make_directory=make_directory)


def write_text(path: Path, text: str, *, make_directory: bool = True) -> None:
    """Write text as UTF-8."""
    write_bytes(path, text.encode(), make_directory=make_directory)


def write_bytes(path: Path, content: bytes, *, make_directory: bool = True) -> None:
    """Write bytes."""
    write_atomically(path, lambda file: file.write(content), make_directory=make_directory)


def write_arrays(path: Path, arrays: dict[str, Any], *, make_directory: bool = True) -> None:
    """Write arrays as a compressed npz file."""
    write_atomically(
        path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays), make_directory=make_directory
    )


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
