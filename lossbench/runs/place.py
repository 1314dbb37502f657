"""The directory of a run while the run is in progress: noticed if it is removed, renamed or replaced."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StorageError
from ..what_is import quote


class Place:
    """A directory that must stay what it is.

    Args:
        directory: which exists now.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._status = os.stat(directory)

    def check(self) -> None:
        """Raise unless the directory is still the same one.

        Raises:
            StorageError: it was removed, renamed or replaced.
        """
        try:
            same = os.path.samestat(self._status, os.stat(self.directory))
        except OSError:
            same = False
        if not same:
            raise StorageError(
                f"{self.directory} was removed, renamed or replaced while the run was writing to it, so the run "
                "stopped; nothing was written elsewhere. Put it back and resume with: "
                f"lossbench run --resume {quote(self.directory)}"
            )
