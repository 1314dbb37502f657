"""Say what lies at a path, for the error of a command that expected something else."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from .file_names import BAD_BATCH, CONFIG, GRID, IMAGE_SUFFIXES, RECORD

_MOST = 2000  # entries that are looked at, per directory
_DEEPEST = 3  # levels at which runs and images are looked for
_HEAD = 512  # bytes
_STARTS = (
    (b"\xff\xd8\xff", "an image"),
    (b"\x89PNG", "an image"),
    (b"GIF8", "an image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80", "a Python pickle"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file (run git lfs pull)"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)
_ZIPS = {".xlsx": "an Excel workbook", ".npz": "a NumPy archive", ".pt": "a torch file", ".pth": "a torch file"}
_SUFFIXES = {".tsv": "a table", ".toml": "a TOML file", ".safetensors": "a file of weights"}


def what_is(path: Path) -> str:
    """Return what lies at a path, as a noun phrase, followed by how to use it if lossbench can.

    Args:
        path: a file or directory, which need not exist.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> what_is(folder), what_is(folder / "gone")
        ('an empty directory', 'missing')
        >>> _ = (folder / "record.json").write_text("{}")
        >>> what_is(folder).replace(str(folder), "DIR")
        'the directory of a finished run (lossbench report DIR)'
        >>> what_is(folder / "record.json").replace(str(folder), "DIR")
        'the record of a run (lossbench report DIR)'
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return "a link to nothing" if path.is_symlink() else "missing"
    try:
        if stat.S_ISDIR(status.st_mode):
            return _directory(path)
        if not stat.S_ISREG(status.st_mode):
            return "a pipe, a socket or a device"
        return _file(path)
    except OSError as error:
        return f"something that cannot be read ({(error.strerror or str(error)).lower()})"


def quote(*parts: object) -> str:
    """Return parts joined to one word of a shell.

    Example:
        >>> quote("folder:", Path("my data"))
        "'folder:my data'"
    """
    return shlex.quote("".join(map(str, parts)))


def is_of_runs(path: Path) -> bool:
    """Return whether a directory is that of a run or of a comparison."""
    return any(os.path.lexists(path / name) for name in (RECORD, CONFIG, GRID))


def _directory(path: Path) -> str:
    if os.path.lexists(path / RECORD):
        said = f"the directory of a finished run (lossbench report {quote(path)})"
    elif os.path.lexists(path / CONFIG):
        said = f"the directory of an unfinished run (lossbench run --resume {quote(path)})"
    elif os.path.lexists(path / GRID):
        said = f"the directory of a comparison (lossbench report {quote(path)})"
    elif path.name == "checkpoint" and is_of_runs(path.absolute().parent):
        said = f"part of a run (lossbench report {quote(path.parent)})"
    elif any(is_of_runs(folder) for folder in _below(path)):
        said = f"a directory of runs (lossbench report {quote(path)})"
    elif any(_has_image(folder) for folder in _below(path)):
        said = f"a folder with images in its subfolders (--data {quote('folder:', path)})"
    elif manifest := next((name for name in _names(path) if name.lower().endswith(".csv")), None):
        said = f"a folder with a CSV file (--data {quote('csv:', path / manifest)})"
    elif _has_image(path):
        said = "a folder of images, without class folders"
    else:
        said = "a directory of other files" if _names(path) else "an empty directory"
    return said


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in islice(entries, _MOST))


def _below(folder: Path, depth: int = 1) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        folders = sorted(entry.path for entry in islice(entries, _MOST) if entry.is_dir(follow_symlinks=False))
    for inside in folders:
        if not os.path.basename(inside).startswith("."):
            yield Path(inside)
            if depth < _DEEPEST:
                yield from _below(Path(inside), depth + 1)


def _has_image(folder: Path) -> bool:
    return any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in _names(folder))


def kind_of_content(head: bytes) -> str | None:
    """Return what a file is by its first bytes; None if they do not tell.

    Example:
        >>> kind_of_content(b"\\x1f\\x8b\\x08"), kind_of_content(b"<!DOCTYPE html>"), kind_of_content(b"path,label")
        ('a gzip archive; unpack it first', 'a web page, perhaps a download that required a login', None)
    """
    text = head[:_HEAD].lstrip().lower()
    kind = next((kind for start, kind in _STARTS if head.startswith(start)), None)
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        kind = "a web page, perhaps a download that required a login"
    elif text.startswith((b"{", b"[")):
        kind = "a JSON file"
    elif head[257:262] == b"ustar":
        kind = "a tar archive"
    return f"{kind}; unpack it first" if kind and kind.endswith("archive") else kind


def _file(path: Path) -> str:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if path.name == RECORD:
        return f"the record of a run (lossbench report {quote(path.parent)})"
    if path.name == BAD_BATCH:
        return f"the batch that stopped a run (lossbench replay {quote(path)})"
    suffix = path.suffix.lower()
    special = _ZIPS.get(suffix) if head.startswith(b"PK\x03\x04") else None
    if suffix == ".csv" and head and b"\0" not in head:
        other = f"a CSV file (--data {quote('csv:', path)})"
    else:
        other = "a binary file" if b"\0" in head else "a text file" if head else "a file of zero bytes"
    return special or kind_of_content(head) or _SUFFIXES.get(suffix, other)
