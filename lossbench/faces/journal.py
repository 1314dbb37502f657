"""The photographs that are done, one line of JSON each, so that an interrupted command resumes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ..detectors import LANDMARKS
from ..errors import ConfigError, DataError
from ..files import not_written
from ..runs.json_text import FieldError
from ..runs.typed_json import Count, Share, plain, read_as
from ..strict_files import open_regular

JOURNAL, CROPS = "photographs.jsonl", "crops"


@dataclass(frozen=True, kw_only=True)
class CropRow:
    """One face of a photograph.

    Attributes:
        box: left, top, right and bottom in pixels of the upright photograph.
        score: of the detector.
        landmarks: of the detector, in pixels of the upright photograph, or None.
        padding: share of the crop that lies outside the photograph.
        path: the crop, from the output folder; None if there is none.
        bytes: size of its file.
        reason: why there is no crop.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None
    padding: Share = 0.0
    path: str | None = None
    bytes: Count = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if self.path is not None and (not self.path.startswith(f"{CROPS}/") or ".." in PurePosixPath(self.path).parts):
            raise ValueError(f"path must lie in {CROPS}/")
        if self.landmarks is not None and len(self.landmarks) != len(LANDMARKS):
            raise ValueError(f"landmarks must be {len(LANDMARKS)} points")


@dataclass(frozen=True, kw_only=True)
class Done:
    """The result for one photograph.

    Attributes:
        photo: its name.
        state: size and modification time of its file, by which a changed file is recognized.
        width, height: of the upright photograph in pixels; 0 if it cannot be read.
        faces: the faces, the largest first.
        reason: why there are none.
    """

    photo: str
    state: str
    width: Count = 0
    height: Count = 0
    faces: tuple[CropRow, ...] = ()
    reason: str = ""

    def is_current(self, file: Path, out: Path) -> bool:
        """Return whether the photograph is unchanged and its crops are there."""
        return self.state == file_state(file) and all(
            _size(out / face.path) == face.bytes for face in self.faces if face.path
        )


def file_state(file: Path) -> str:
    """Return size and modification time of a file as a text; empty if it cannot be read."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return ""
    return f"{found.st_size} bytes, {found.st_mtime_ns} ns"


class Journal:
    """Reads and appends results. A line that was cut off when the program was killed is dropped.

    Args:
        out: output folder.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / JOURNAL
        self._file: IO[bytes] | None = None

    def read(self) -> dict[str, Done]:
        """Return the results by name; of several for one photograph, the last.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            with open_regular(self.path, links=False) as file:
                return {done.photo: done for line in file if (done := _parsed(line)) is not None}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DataError(f"{self.path}: cannot read: {error.strerror or error}") from None

    def add(self, done: Done) -> None:
        """Append a result."""
        try:
            if self._file is None:
                self._file = open(self.path, "ab")  # noqa: SIM115  # closed by `close`
                if self._file.tell():
                    self._file.write(b"\n")  # ends a line that was cut off
            self._file.write(json.dumps(plain(done)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise not_written(self.path, error) from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def check_no_links(folder: Path, out: Path) -> None:
    """Refuse a folder of crops that a link leads out of the output folder.

    Raises:
        ConfigError: naming it.
    """
    if os.path.realpath(folder) != os.path.join(os.path.realpath(out), os.path.relpath(folder, out)):
        raise ConfigError(f"{folder} is or lies behind a symbolic link; remove the link, or pass another directory")


def _parsed(line: bytes) -> Done | None:
    try:
        return read_as(Done, json.loads(line))
    except (ValueError, FieldError, RecursionError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
