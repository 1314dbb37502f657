"""Find the files of a manifest below its folder."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..errors import DataError
from .missing_files import other_spelling


def existing_root(root: Path) -> Path:
    """Return `root`, or raise a DataError if it is not a folder."""
    if not root.is_dir():
        raise DataError(f"--root {root}: no such folder; expected the folder that the paths of the manifest start from")
    return root


class LocatedFiles:
    """Finds files below a folder. It resolves only folders, once each, because resolving every path is slow.

    Args:
        root: the folder, which paths start from and must stay in.
        beside: another folder that paths may start from if the user named the root: that of the manifest.
        option: how the user names the root, for messages.

    Attributes:
        from_beside: number of files whose paths start from the other folder.
    """

    def __init__(self, root: Path, *, beside: Path | None = None, option: str = "--root DIR") -> None:
        self._root, self._option, self.from_beside = os.path.realpath(root), option, 0
        self._beside = None if beside is None else os.path.realpath(beside)
        self._folders: dict[tuple[str, str], str] = {}

    def locate(self, name: str) -> str:
        """Return the resolved path of an existing file inside the root, or raise a ValueError with the reason."""
        if not name:
            raise ValueError("empty path")
        try:
            return self._locate(self._root, name)
        except ValueError:
            if self._beside in (None, self._root) or os.path.isabs(name):
                raise
            with contextlib.suppress(ValueError):
                file = self._locate(self._beside, name)
                self.from_beside += 1
                return file
            raise

    def _locate(self, start: str, name: str) -> str:
        head, tail = os.path.split(name)
        try:
            folder = self._folders.get((start, head))
            if folder is None:
                folder = self._folders[start, head] = self._within(os.path.join(start, head))
            file = os.path.join(folder, tail)
            mode = os.lstat(file).st_mode
            if stat.S_ISLNK(mode):
                file = self._within(file)
                mode = os.stat(file).st_mode
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            raise ValueError("no such file" if missing else (error.strerror or str(error)).lower()) from None
        if not stat.S_ISREG(mode):
            raise ValueError("not a file")
        return file

    def locate_as_meant(self, name: str) -> tuple[str, str]:
        """Return a listed path as it is read, and its file; backslashes and outer spaces count if a file has them."""
        try:
            return name, self.locate(name)
        except ValueError as error:
            if (other := other_spelling(name)) is None or str(error) != "no such file":
                raise
            return other, self.locate(other)

    def _within(self, path: str) -> str:
        real = os.path.realpath(path)
        if real != self._root and not real.startswith(os.path.join(self._root, "")):
            where = "the manifest's folder" if self._beside is None else f"the root {self._root}"
            raise ValueError(
                f"is outside {where} (it resolves to {real}); move the images below that folder, or pass {self._option}"
            )
        return real

    def relative(self, file: str) -> str:
        """Return the path of a located file from the root."""
        return os.path.relpath(file, self._root)
