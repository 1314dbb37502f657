"""Find the image files of a folder by name from one listing, because one look-up per row would take minutes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ...file_names import IMAGE_SUFFIXES


class Found(NamedTuple):
    """An image file.

    Attributes:
        path: path of the file as text, because creating 400,000 Path objects takes seconds.
        empty: whether it has zero bytes.
    """

    path: str
    empty: bool


class ImageFolder:
    """The images directly in a folder.

    Args:
        path: the folder; a missing folder has no images.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._empty: dict[str, bool] = {}
        self._by_stem: dict[str, list[str]] | None = None
        self._used: set[str] = set()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    suffix = os.path.splitext(entry.name)[1].lower()
                    if suffix in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file():
                        self._empty[entry.name] = entry.stat().st_size == 0
        except FileNotFoundError:
            pass

    def __len__(self) -> int:
        return len(self._empty)

    def names(self) -> list[str]:
        """Return the sorted file names."""
        return sorted(self._empty)

    def find(self, name: str) -> Found | None:
        """Return the image with this name, or the only one with this stem in any case and with any extension."""
        if name not in self._empty:
            if self._by_stem is None:
                self._by_stem = {}
                for known in self._empty:
                    self._by_stem.setdefault(os.path.splitext(known)[0].lower(), []).append(known)
            candidates = self._by_stem.get(os.path.splitext(name)[0].lower(), [])
            if len(candidates) != 1:
                return None
            (name,) = candidates
        self._used.add(name)
        return Found(f"{self.path}/{name}", self._empty[name])

    @property
    def unused(self) -> int:
        """Return the number of images that were never looked up."""
        return len(self._empty) - len(self._used)


class ImageTree:
    """The images in the subfolders of a folder, named `<subfolder>/<file>`.

    Args:
        root: the parent folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with os.scandir(root) as entries:
            self._folders = {entry.name: ImageFolder(root / entry.name) for entry in entries if entry.is_dir()}
        self._folders[""] = ImageFolder(root)

    def __len__(self) -> int:
        return sum(map(len, self._folders.values()))

    def find(self, name: str) -> Found | None:
        """Return the image with this name, as `ImageFolder.find` does."""
        head, _, tail = name.rpartition("/")
        folder = self._folders.get(head)
        return None if folder is None else folder.find(tail)

    @property
    def unused(self) -> int:
        """Return the number of images that were never looked up."""
        return sum(folder.unused for folder in self._folders.values())
