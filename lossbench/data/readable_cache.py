"""Remember which image files were decoded completely, so that they are not decoded again before the next run.

By default a file is recognized by its path, size, modification time and inode. Recognized by content, a copy on another
disk, as jobs of a cluster make them, is read but not decoded again. In both cases its box and the version of Pillow
must be the same. Only readable files are remembered; unreadable files are checked again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

import PIL

from ..caches import user_cache
from .upright import Box

_KEY = 16  # bytes, of a key and of a digest of pixels
_MOST = 4_000_000  # files: 128 MB
_HEAD = b"lossbench readable 2\n"
_UNKNOWN = bytes(_KEY)
BY_PATH, BY_CONTENT = "path", "content"


class ReadableFiles:
    """A set of files and the digests of their pixels, stored on disk; a cache that cannot be used is ignored.

    Args:
        file: path of the cache file; None for the user's cache folder.
        recognize: `BY_PATH` or `BY_CONTENT`.
    """

    def __init__(self, file: Path | None = None, recognize: str = BY_PATH) -> None:
        self.file = file or user_cache() / "readable"
        self._by_content = recognize == BY_CONTENT
        self._known = self._load()
        self._new: dict[bytes, bytes] = {}

    def key(self, path: Path, box: Box | None) -> bytes | None:
        """Return the current key of a file, or None if it cannot be read."""
        try:
            state = os.stat(path)
            if not self._by_content:
                who = f"{os.path.abspath(path)}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}"
            elif not stat.S_ISREG(state.st_mode):
                return None
            else:
                with open(path, "rb") as file:
                    who = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
        except (OSError, ValueError):
            return None
        told = f"{who}\0{box}\0{PIL.__version__}"
        return hashlib.blake2b(told.encode(errors="surrogateescape"), digest_size=_KEY).digest()

    def __contains__(self, key: bytes | None) -> bool:
        return key in self._known or key in self._new

    def pixels(self, key: bytes | None) -> bytes:
        """Return the digest of the pixels of a file; empty if it is unknown."""
        found = _UNKNOWN if key is None else self._new.get(key) or self._known.get(key, _UNKNOWN)
        return b"" if found == _UNKNOWN else found

    def add(self, key: bytes | None, pixels: bytes = _UNKNOWN) -> None:
        """Add a decoded file, by its key from before decoding, with the digest of its pixels."""
        if key is not None:
            self._new[key] = pixels

    def save(self) -> None:
        """Write new entries atomically."""
        if not self._new:
            return
        known = self._load() | self._new  # another run may have written it in the meantime
        kept = known if len(known) <= _MOST else self._new
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.file.parent, delete=False) as beside:
                beside.write(_HEAD + b"".join(key + kept[key] for key in sorted(kept)))
            os.replace(beside.name, self.file)
        self._known, self._new = known, {}

    def _load(self) -> dict[bytes, bytes]:
        try:
            with self.file.open("rb") as file:
                content = file.read(len(_HEAD) + _MOST * 2 * _KEY)
        except OSError:
            return {}
        if not content.startswith(_HEAD):
            return {}
        rows = content[len(_HEAD) :]
        starts = range(0, len(rows) - 2 * _KEY + 1, 2 * _KEY)
        return {rows[at : at + _KEY]: rows[at + _KEY : at + 2 * _KEY] for at in starts}
