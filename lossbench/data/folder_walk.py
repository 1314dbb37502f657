"""Walk folders of images as people keep them: hidden files and what systems leave behind are skipped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..file_names import IMAGE_SUFFIXES

# Folders that systems leave behind, beside hidden ones.
_JUNK = frozenset({
    "__macosx", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "lost+found",
    "system volume information", "__pycache__",
})  # fmt: skip
OTHER_IMAGES = frozenset({".heic", ".heif", ".jxl", ".cr2", ".nef", ".arw", ".dng", ".psd", ".svg", ".ico", ".tga"})


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones and those that systems leave behind."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not is_junk(entry.name))


def count_images(folder: Path) -> int:
    """Return the number of images directly in a folder."""
    with os.scandir(folder) as entries:
        return sum(_is_image(entry.name) and not is_junk(entry.name) for entry in entries)


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def files_below(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the path of every visible file below a folder, from the folder, and whether its name is an image's.

    Links to folders are followed; a folder that is reached a second time is skipped.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        inside = os.path.relpath(parent, folder)
        for name in sorted(name for name in names if not is_junk(name)):
            yield name if inside == "." else f"{inside}/{name}", _is_image(name)


def _raise(error: OSError) -> None:
    raise error


def kinds_below(folder: Path) -> str:
    """Return what files lie below a folder without images: "5 x .heic"."""
    counts = Counter(os.path.splitext(name)[1].lower() or "no extension" for name, _ in files_below(folder))
    return ", ".join(f"{count} x {named(suffix)}" for suffix, count in sorted(counts.items()))


def named(what: str) -> str:
    return f"{what} (images of a kind that is not read: convert them)" if what in OTHER_IMAGES else what
