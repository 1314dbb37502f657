"""The record of a run: what is written, and how, so that nothing is ever half-written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
import tomli_w

from ..errors import ConfigError, LossbenchError, StorageError

SCHEMA_VERSION = 1
RECORD, CONFIG, HISTORY, PREDICTIONS = "record.json", "config.toml", "history.jsonl", "predictions.npz"
WEIGHTS = "checkpoint/weights.safetensors"
LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PACKAGES = ("torch", "torchvision", "timm", "accelerate", "pytorch-metric-learning", "numpy", "scikit-learn", "pillow")


def claim_directory(out: Path) -> Path:
    """Makes the directory of a run, refusing one that holds something.

    Raises:
        ConfigError: it holds another run or other files, or can't be made or written.
    """
    try:
        if out.is_dir() and any(not _is_leftover(path.name) for path in out.iterdir()):
            if (out / CONFIG).exists():
                raise ConfigError(
                    f"--out {out} holds another run; give a new directory, leave --out away, or go on with that one: "
                    f"lossbench run --resume {out}"
                )
            raise ConfigError(f"--out {out} holds other files; give a new directory, or leave --out away")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ConfigError(f"--out {out} can't be written: {error.strerror or error}; give another directory") from error
    return out


def _is_leftover(name: str) -> bool:
    """Whether a run that was killed before its `config.toml` left this."""
    return name == LOCK or name.startswith(f".{CONFIG}.")


def fresh_directory(loss: str, data: str, seed: int, root: Path = Path("runs")) -> Path:
    """Makes `runs/<loss>-<data>-s<seed>-<n>` with the first n that is free, also when several runs start at once.

    Raises:
        ConfigError: it can't be made.
    """
    kind, _, path = data.partition("(")[0].partition(":")
    stem = "-".join(filter(None, (plain(loss), plain(Path(path).stem if path else kind), f"s{seed}")))
    try:
        root.mkdir(parents=True, exist_ok=True)
        n = 1
        while True:
            with contextlib.suppress(FileExistsError):
                (root / f"{stem}-{n}").mkdir()
                return root / f"{stem}-{n}"
            n += 1
    except OSError as error:
        raise ConfigError(f"{root} can't be written: {error.strerror or error}; give a directory by --out") from error


def plain(text: str) -> str:
    """Letters, digits and points, the rest as single hyphens."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == ".") else "-" for c in text)
    return "-".join(filter(None, kept.split("-")))[:60].strip("-.")


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
    """Text as UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_config(path: Path, options: dict[str, Any]) -> None:
    """The options of a run as TOML: what `--config` reads."""
    write_atomically(path, lambda file: tomli_w.dump(options, file))


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Arrays as a compressed npz file."""
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment(device: Any, processes: int) -> dict[str, Any]:
    """What the figures of a run may depend on beside its options."""
    import torch

    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "lossbench": version("lossbench"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": str(device),
        "device_name": gpu.name if gpu else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32) if gpu else None,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cpu_threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "processes": processes,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": git_state(),
    }


def git_state() -> dict[str, Any] | None:
    """Commit and whether files differ from it, of the current directory; None outside a repository."""
    try:
        commit, status = (
            subprocess.run(["git", *command], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(status)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
