"""Which image files were once decoded whole: what needs not be decoded again before a run.

A file is the same while its path, size, time of change and box are, and while Pillow is. Only that a file can be read
is remembered; what can't is looked at anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import PIL

from .decode import Box

_KEY = 16  # bytes
_MOST = 4_000_000  # files: 64 MB
_HEAD = b"lossbench readable 1\n"


class ReadableFiles:
    """A set on disk; a cache that can't be read or written is as good as none.

    Args:
        file: where it lies; None for the user's cache folder.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or _folder() / "lossbench" / "readable"
        self._known = self._load()
        self._new: set[bytes] = set()

    def key(self, path: Path, box: Box | None) -> bytes | None:
        """What a file is known by now; None where there is no such file."""
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            return None
        told = (os.path.abspath(path), state.st_size, state.st_mtime_ns, state.st_ino, box, PIL.__version__)
        return hashlib.blake2b("\0".join(map(str, told)).encode(errors="surrogateescape"), digest_size=_KEY).digest()

    def __contains__(self, key: bytes | None) -> bool:
        return key in self._known or key in self._new

    def add(self, key: bytes | None) -> None:
        """Remembers a file that was decoded; its key is of before."""
        if key is not None:
            self._new.add(key)

    def save(self) -> None:
        """Writes what is new, beside and renamed."""
        if not self._new:
            return
        known = self._load() | self._new  # another run may have written in the meantime
        kept = known if len(known) <= _MOST else self._new
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.file.parent, delete=False) as beside:
                beside.write(_HEAD + b"".join(sorted(kept)))
            os.replace(beside.name, self.file)
        self._known, self._new = known, set()

    def _load(self) -> set[bytes]:
        try:
            with self.file.open("rb") as file:
                content = file.read(len(_HEAD) + _MOST * _KEY)
        except OSError:
            return set()
        if not content.startswith(_HEAD):
            return set()
        keys = content[len(_HEAD) :]
        return {keys[start : start + _KEY] for start in range(0, len(keys) - _KEY + 1, _KEY)}


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
