"""Explain where the files of a manifest are that do not exist as listed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ..file_names import IMAGE_SUFFIXES

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ADDRESS = re.compile(r"[a-z0-9]+://")
_PARENTS = 3
_ENTRIES = 1000  # of a folder that are looked at


def other_spelling(name: str) -> str | None:
    r"""Return a path as another program may have meant it: without spaces around it, and with slashes.

    Example:
        >>> other_spelling(r" cats\a.png "), other_spelling("cats/a.png")
        ('cats/a.png', None)
    """
    other = name.strip().replace("\\", "/")
    return other if other not in ("", name) else None


def where_instead(name: str, root: Path, *, others_found: bool = False) -> str | None:
    """Return where a listed file that does not exist probably is, as a sentence that says what to change.

    Args:
        name: the path as listed.
        root: the folder that paths start from.
        others_found: whether other files of the manifest exist there, so that no other folder is meant.
    """
    return next(_guesses(name, root, others_found), None)


def _guesses(name: str, root: Path, others_found: bool) -> Iterator[str]:
    if _ADDRESS.match(name):
        yield "They are addresses: download the images, and list their paths."
    if _DRIVE.match(name):
        yield "They are paths of a Windows computer: list paths relative to a folder, and pass it with --root."
    for suffix in sorted(IMAGE_SUFFIXES):
        if os.path.isfile(root / f"{name}{suffix}"):
            yield f"Their extension is missing: {name}{suffix} exists."
    parts = Path(name).parts
    for cut in range(1, len(parts)):
        if os.path.isfile(root / Path(*parts[cut:])):
            start = os.path.join(*parts[:cut], "")
            yield f"{Path(*parts[cut:])} exists: remove {start!r} from the start of the paths."
    if others_found or ".." in parts or os.path.isabs(name):
        return
    parents = list(root.absolute().parents)[:_PARENTS]
    beside = [place for parent in (root, *parents[:1]) for place in _folders(parent)]
    for folder in [*map(str, parents), *beside]:
        if os.path.isfile(os.path.join(folder, name)):
            yield f"They start from another folder: pass --root {shlex.quote(folder)}"


def _folders(parent: Path) -> list[str]:
    """Return the first folders in a folder; none if it cannot be listed."""
    try:
        with os.scandir(parent) as entries:
            return sorted(entry.path for entry in islice(entries, _ENTRIES) if entry.is_dir())
    except OSError:
        return []
