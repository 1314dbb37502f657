"""The checkpoint on disk: a folder of safetensors files and a manifest, whole or not there.

    checkpoint/step-000000120/manifest.json          what it belongs to, position, history, SHA-256 of all files
                              state.safetensors      model, loss, optimizer, the best weights so far
                              process-0.safetensors  what each process has of its own, random states among it

Written beside, synced, and renamed; the one before is kept. Nothing in it is executed when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from ...errors import CheckpointError
from ...files import not_written, sync_directory, write_synced

SCHEMA_VERSION = 1
FOLDER, MANIFEST = "checkpoint", "manifest.json"
KEPT = 2  # the newest, and the one before: the newest may turn out to be damaged
_NAME = re.compile(r"step-(\d{9,18})")
_FILE = re.compile(r"(state|process-\d{1,6})\.safetensors")
_MANIFEST_LIMIT = 64 * 2**20
_BESIDE = (".writing-", ".old-")


@dataclass(frozen=True)
class Checkpoint:
    """Attributes:
    path: its folder.
    content: of the manifest, without its digests.
    tensors: file stem ("state", "process-0") -> name -> tensor, on the CPU.
    """

    path: Path
    content: dict[str, Any]
    tensors: Mapping[str, Mapping[str, Tensor]] = field(repr=False)


class _DamagedError(Exception):
    """What is wrong with a checkpoint that was once whole."""


def write_checkpoint(
    parent: Path, step: int, content: Callable[[], Mapping[str, Any]], blobs: Mapping[str, bytes]
) -> Path:
    """Writes a checkpoint and removes those older than the one before it.

    At every instant the newest folder of the name `step-…` is whole.

    Args:
        parent: the folder of checkpoints.
        step: how many optimizer steps were taken.
        content: gives what the manifest holds, JSON-ready; called when the other files are on the disk.
        blobs: file stem -> content of a safetensors file.

    Raises:
        StorageError: the disk is full; what was there is as it was.
    """
    final = parent / f"step-{step:09d}"
    beside = parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=parent, prefix=".writing-"))
        files = {}
        for stem, blob in blobs.items():
            write_synced(beside / f"{stem}.safetensors", blob, final)
            files[f"{stem}.safetensors"] = {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
        manifest = {"schema_version": SCHEMA_VERSION, "files": files, **content()}
        write_synced(beside / MANIFEST, _manifest(manifest), final)
        sync_directory(beside)
        if final.exists():  # the same step again: the end of an epoch, say
            final.rename(parent / f".old-{final.name}")
        beside.rename(final)
        sync_directory(parent)
    except BaseException as error:
        if beside != parent:
            shutil.rmtree(beside, ignore_errors=True)
        if isinstance(error, OSError):
            raise not_written(final, error) from error
        raise
    for _, old in _found(parent)[KEPT:]:
        with contextlib.suppress(OSError):
            old.rename(parent / f".old-{old.name}")
    remove_leftovers(parent)
    return final


def newest_checkpoint(parent: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole; None where there is none.

    Args:
        parent: the folder of checkpoints.
        warn: told of each that is damaged.

    Raises:
        CheckpointError: the newest was written in another schema version.
    """
    for _, path in _found(parent):
        try:
            return read_checkpoint(path)
        except _DamagedError as error:
            warn(f"{path} is damaged ({error}); going back to what was before it")
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads one, with the digest of every file compared."""
    content = _read_manifest(path / MANIFEST)
    try:
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in content.pop("files").items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _DamagedError(f"{MANIFEST} lists no files") from error
    tensors = {}
    for name, (size, sha256) in files.items():
        if not _FILE.fullmatch(name):
            raise _DamagedError(f"{MANIFEST} names a file {name!r}")
        blob = _read_regular(path / name, size)
        if len(blob) != size or hashlib.sha256(blob).hexdigest() != sha256:
            raise _DamagedError(f"{name}: its SHA-256 is another one than {MANIFEST} says")
        try:
            tensors[name.removesuffix(".safetensors")] = dict(from_safetensors(blob))
        except (SafetensorError, ValueError) as error:
            raise _DamagedError(f"{name}: {error}") from error
    return Checkpoint(path, content, tensors)


def remove_leftovers(parent: Path) -> None:
    """Removes what an interrupted write left beside the checkpoints."""
    for left in parent.iterdir() if parent.is_dir() else ():
        if left.name.startswith(_BESIDE) and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def remove_checkpoints(parent: Path) -> None:
    """Removes all checkpoints of a finished run: its record and its weights say everything."""
    for _, path in _found(parent):
        with contextlib.suppress(OSError):
            path.rename(parent / f".old-{path.name}")
    remove_leftovers(parent)


def _found(parent: Path) -> list[tuple[int, Path]]:
    """Checkpoints by step, the newest first."""
    named = [
        (match, path) for path in (parent.iterdir() if parent.is_dir() else ()) if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(((int(match[1]), path) for match, path in named), reverse=True)


def _manifest(content: Mapping[str, Any]) -> bytes:
    """The content with its own digest: a flipped byte in a number would not be seen otherwise."""
    return (json.dumps({"sha256": _digest(content), **content}, indent=1, allow_nan=False) + "\n").encode()


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_manifest(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_regular(file, _MANIFEST_LIMIT))
        sha256 = content.pop("sha256")
        version = content.pop("schema_version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(f"{file.name}: {type(error).__name__}: {error}") from error
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{file.parent} has schema version {str(version)[:40]}, this lossbench reads {SCHEMA_VERSION}: resume it "
            "with the lossbench that wrote it (its manifest names it), or start again"
        )
    if _digest({"schema_version": version, **content}) != sha256:
        raise _DamagedError(f"{file.name}: its SHA-256 is another one than it says")
    return dict(content)


def _read_regular(file: Path, most: int) -> bytes:
    """A regular file of at most so many bytes; links, pipes and devices are not followed."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise _DamagedError(f"{file.name} is not a file")
            if status.st_size > most:
                raise _DamagedError(f"{file.name} has {status.st_size:,} bytes, {most:,} were expected")
            with open(handle, "rb", closefd=False) as opened:
                return opened.read()
        finally:
            os.close(handle)
    except OSError as error:
        raise _DamagedError(f"{file.name}: {error.strerror or error}") from error
