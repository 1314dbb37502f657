"""Where caches are stored: files that can be lost without harm."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return the folder for lossbench's caches; without a home directory, a path at which no file can exist."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base if os.path.isabs(base) else os.devnull) / "lossbench"
