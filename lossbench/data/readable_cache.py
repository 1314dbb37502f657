"""Remember which image files were decoded completely, so that they are not decoded again before the next run.

A file is unchanged if its path, size, modification time and box and the version of Pillow are unchanged. Only readable
files are remembered; unreadable files are checked again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import PIL

from ..caches import user_cache
from .decode import Box

_KEY = 16  # bytes
_MOST = 4_000_000  # files: 64 MB
_HEAD = b"lossbench readable 1\n"


class ReadableFiles:
    """A set of files, stored on disk; a cache that cannot be read or written is ignored.

    Args:
        file: path of the cache file; None for the user's cache folder.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or user_cache() / "readable"
        self._known = self._load()
        self._new: set[bytes] = set()

    def key(self, path: Path, box: Box | None) -> bytes | None:
        """Return the current key of a file, or None if there is no such file."""
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            return None
        told = (os.path.abspath(path), state.st_size, state.st_mtime_ns, state.st_ino, box, PIL.__version__)
        return hashlib.blake2b("\0".join(map(str, told)).encode(errors="surrogateescape"), digest_size=_KEY).digest()

    def __contains__(self, key: bytes | None) -> bool:
        return key in self._known or key in self._new

    def add(self, key: bytes | None) -> None:
        """Add a decoded file, by its key from before decoding."""
        if key is not None:
            self._new.add(key)

    def save(self) -> None:
        """Write new entries atomically."""
        if not self._new:
            return
        known = self._load() | self._new  # another run may have written it in the meantime
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
