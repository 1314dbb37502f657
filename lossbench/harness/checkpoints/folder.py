"""Write and read checkpoints: folders of safetensors files and a manifest, complete or absent.

    checkpoint/step-000000120/manifest.json          identity of the run, position, history, SHA-256 of all files
                              state.safetensors      model, loss, optimizer, the best weights so far
                              process-0.safetensors  state of each process, including random states

A checkpoint is written to a temporary name, synced and renamed; the previous one is kept. Reading executes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from ...errors import CheckpointError, RecordError
from ...files import not_written, sync_directory, write_synced
from ...strict_files import read_bytes

SCHEMA_VERSION = 1
FOLDER, MANIFEST = "checkpoint", "manifest.json"
KEPT = 2  # the newest and the previous one, in case the newest is damaged
_NAME = re.compile(r"step-(\d{9,18})")
_FILE = re.compile(r"(state|process-\d{1,6})\.safetensors")
_MANIFEST_LIMIT, _TENSORS_LIMIT = 64 * 2**20, 16 * 2**30  # bytes
_BESIDE = (".writing-", ".old-")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        path: its folder.
        content: content of the manifest, without its digests.
        tensors: tensors on the CPU by file stem ("state", "process-0") and name.
    """

    path: Path
    content: dict[str, Any]
    tensors: Mapping[str, Mapping[str, Tensor]] = field(repr=False)


class _DamagedError(Exception):
    """Carries the problem with a damaged checkpoint."""


def write_checkpoint(
    parent: Path, step: int, content: Callable[[], Mapping[str, Any]], blobs: Mapping[str, bytes]
) -> Path:
    """Write a checkpoint and remove those older than the previous one.

    The newest folder named `step-…` is complete at every instant.

    Args:
        parent: folder of checkpoints.
        step: number of optimizer steps taken.
        content: function that returns the content of the manifest, called after the other files are written.
        blobs: content of the safetensors files by stem.

    Raises:
        DiskFullError: the disk is full; existing files are unchanged.
    """
    final = parent / f"step-{step:09d}"
    beside = parent
    try:
        parent.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=parent, prefix=".writing-"))
        files = {}
        for stem, blob in blobs.items():
            write_synced(beside / f"{stem}.safetensors", blob, final)
            files[f"{stem}.safetensors"] = {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
        manifest = {"schema_version": SCHEMA_VERSION, "files": files, **content()}
        write_synced(beside / MANIFEST, _manifest(manifest), final)
        sync_directory(beside)
        if final.exists():  # the same step again, for example at the end of an epoch
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
    """Read the newest undamaged checkpoint, or return None.

    Args:
        parent: folder of checkpoints.
        warn: called for each damaged checkpoint.

    Raises:
        CheckpointError: the newest checkpoint has a different schema version.
    """
    for _, path in _found(parent):
        try:
            return read_checkpoint(path)
        except _DamagedError as error:
            warn(f"{path} is damaged ({error}); using the previous checkpoint")
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify the digest of every file."""
    if path.is_symlink():
        raise _DamagedError("it is a symbolic link")
    content = _read_manifest(path / MANIFEST)
    try:
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in content.pop("files").items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _DamagedError(f"{MANIFEST} lists no files") from error
    tensors = {}
    for name, (size, sha256) in files.items():
        if not _FILE.fullmatch(name):
            raise _DamagedError(f"{MANIFEST} names a file {name!r}")
        blob = _read_regular(path / name, min(size, _TENSORS_LIMIT))
        if len(blob) != size or hashlib.sha256(blob).hexdigest() != sha256:
            raise _DamagedError(f"{name}: its SHA-256 does not match {MANIFEST}")
        try:
            tensors[name.removesuffix(".safetensors")] = dict(from_safetensors(blob))
        except (SafetensorError, ValueError) as error:
            raise _DamagedError(f"{name}: {error}") from error
    return Checkpoint(path, content, tensors)


def remove_leftovers(parent: Path) -> None:
    """Remove temporary files of an interrupted write."""
    for left in parent.iterdir() if parent.is_dir() else ():
        if left.name.startswith(_BESIDE) and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def remove_checkpoints(parent: Path) -> None:
    """Remove all checkpoints of a finished run, whose record and weights are complete."""
    for _, path in _found(parent):
        with contextlib.suppress(OSError):
            path.rename(parent / f".old-{path.name}")
    remove_leftovers(parent)


def _found(parent: Path) -> list[tuple[int, Path]]:
    """Return checkpoints by step, newest first."""
    named = [
        (match, path) for path in (parent.iterdir() if parent.is_dir() else ()) if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(((int(match[1]), path) for match, path in named), reverse=True)


def _manifest(content: Mapping[str, Any]) -> bytes:
    """Return the content with its own digest, which detects flipped bytes in numbers."""
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
        raise _DamagedError(f"{file.name}: its SHA-256 does not match its content")
    return dict(content)


def _read_regular(file: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes."""
    try:
        return read_bytes(file, most)
    except RecordError as error:
        raise _DamagedError(str(error).replace(f"{file}", file.name, 1)) from error
