"""Where the files of a run lie, and the directories that runs are written to."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import tomli_w

from .. import file_names
from ..errors import CheckpointError, ConfigError, RecordError
from ..files import plain, write_atomically
from ..what_is import quote, what_is

SCHEMA_VERSION = 2  # of record.json and compare.json
RECORD, CONFIG = file_names.RECORD, file_names.CONFIG
HISTORY, PREDICTIONS = file_names.HISTORY, file_names.PREDICTIONS
WEIGHTS = "checkpoint/weights.safetensors"
LOCK = ".lock"


def other_version(file: Path | str, version: object) -> str:
    """Return the message for a file that a lossbench with another schema version wrote."""
    return (
        f"{file} has schema version {str(version)[:40]}, this lossbench reads {SCHEMA_VERSION}: another release of "
        "lossbench wrote it. Run it again with this release, or read it with the one that wrote it"
    )


def check_unfinished(directory: Path) -> None:
    """Check that a directory holds a run that can be resumed or is finished.

    Raises:
        CheckpointError: saying what it is instead.
    """
    if not (directory / CONFIG).is_file():
        raise CheckpointError(
            f"--resume {directory}: not a run, because it has no {CONFIG}. Expected the directory that a run "
            f"printed when it was interrupted; it is {what_is(directory)}"
        )


def check_finished(directory: Path) -> None:
    """Check that a directory exists, where that of a finished run is expected; `read_run` checks what it holds.

    Raises:
        RecordError: saying what it is instead.
    """
    if not directory.is_dir():
        raise RecordError(f"{directory} holds no finished run: no such directory. It is {what_is(directory)}")


def claim_directory(out: Path, *, required: bool = False) -> Path:
    """Makes the directory of a run, refusing one that holds something.

    Args:
        out: the directory.
        required: whether the command needs `--out`.

    Raises:
        ConfigError: it holds another run or other files, or cannot be made or written.
    """
    try:
        check_unclaimed(out, required=required)
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write --out {out}: {error.strerror or error}; pass another directory") from error
    return out


def check_unclaimed(out: Path, *, required: bool = False) -> None:
    """Refuse a directory that holds something, or a file in its place; nothing is created.

    Args:
        out: the directory.
        required: whether the command needs `--out`.

    Raises:
        ConfigError: it holds another run or other files, or is a file.
    """
    try:
        if out.is_dir() and any(not _is_leftover(path.name) for path in out.iterdir()):
            choices = ["pass a new directory"] if required else ["pass a new directory", "omit --out"]
            what = "another run" if (out / CONFIG).exists() else f"other files: it is {what_is(out)}"
            if (out / CONFIG).exists() and not (out / RECORD).exists() and not required:
                choices.append(f"resume that run with: lossbench run --resume {quote(out)}")
            raise ConfigError(f"--out {out} contains {what}; {', or '.join(choices)}")
        if out.exists() and not out.is_dir():
            raise ConfigError(f"cannot write --out {out}: it is a file; pass another directory")
    except OSError as error:
        raise ConfigError(f"cannot write --out {out}: {error.strerror or error}; pass another directory") from error


def _is_leftover(name: str) -> bool:
    """Whether a run that was killed before its `config.toml` left this."""
    return name == LOCK or name.startswith(f".{CONFIG}.")


def fresh_directory(loss: str, data: str, seed: int, root: Path = Path("runs")) -> Path:
    """Makes `runs/<loss>-<data>-s<seed>-<n>` with the first n that is free, also when several runs start at once.

    Raises:
        ConfigError: it cannot be made.
    """
    kind, _, path = data.partition("(")[0].partition("?")[0].partition(":")
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
        raise ConfigError(f"cannot write {root}: {error.strerror or error}; pass a directory with --out") from error


def write_config(path: Path, options: dict[str, Any]) -> None:
    """The options of a run as TOML: what `--config` reads."""
    write_atomically(path, lambda file: tomli_w.dump(options, file))
