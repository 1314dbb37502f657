"""What earlier loads of plugins found, kept on disk so that `lossbench list` need not import them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..caches import user_cache
from .plugins import Plugin


@dataclass(frozen=True)
class Learned:
    """The result of an earlier load of a plugin."""

    usable: bool
    summary: str | None = None
    reason: str | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)


def learned(plugin: Plugin) -> Learned | None:
    """Return the cached result of this version of a plugin, or None."""
    try:
        row = _memory()[_memory_key(plugin)]
        return Learned(bool(row["usable"]), row["summary"], row["reason"], dict(row["expected_failures"]))
    except (KeyError, TypeError, ValueError):
        return None


def remember(plugin: Plugin, result: Learned) -> None:
    """Cache the result of a load; a cache that cannot be written is ignored."""
    file = _memory_file()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = _memory()
        if rows.get(_memory_key(plugin)) == asdict(result):
            return
        rows[_memory_key(plugin)] = asdict(result)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as beside:
            json.dump(rows, beside, indent=1)
        os.replace(beside.name, file)


def _memory() -> dict[str, Any]:
    """Return the cached results of all plugins, read again only if the file has changed."""
    try:
        state = _memory_file().stat()
    except OSError:
        return {}
    return dict(_read_memory(_memory_file(), state.st_ino, state.st_mtime_ns))


@lru_cache(maxsize=1)
def _read_memory(file: Path, inode: int, changed_ns: int) -> dict[str, Any]:
    try:
        rows = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return rows if isinstance(rows, dict) else {}


def _memory_file() -> Path:
    return user_cache() / "plugins.json"


def _memory_key(plugin: Plugin) -> str:
    return f"{plugin.distribution}=={plugin.version}:{plugin.name}"
