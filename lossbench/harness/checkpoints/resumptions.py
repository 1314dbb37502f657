"""Count how often a run was resumed, also from the same checkpoint several times."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_NAME = ".resumed"  # one byte per resumption; a finished run has none, because its record has the number


def count_resumption(directory: Path, at_least: int) -> int:
    """Count one more resumption of a run, and return their number.

    Args:
        directory: directory of the run.
        at_least: number that the checkpoint implies, where the file is lost or cannot be written.
    """
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(directory / _NAME, flags, 0o666), "ab") as file:
            file.write(b"." * max(1, at_least - file.tell()))
            return file.tell()
    return at_least


def forget_resumptions(directory: Path) -> None:
    """Remove the count of a finished run."""
    with contextlib.suppress(OSError):
        (directory / _NAME).unlink()
