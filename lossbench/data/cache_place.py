"""Where the caches of decoded images of some data are."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..caches import user_cache
from ..files import plain
from .reading import Reading

_WHOLE, _ENDING = "whole", ".images"
# The options of a run that decide which files its data has; the others divide them or select some of them.
_NAMING = ("val", "root", "path_column")


@dataclass(frozen=True)
class CachePlace:
    """Where the caches of some data are: a file for each reading.

    Attributes:
        folder: folder of the caches.
        stem: start of the names of the files.
    """

    folder: Path
    stem: str

    @classmethod
    def of(cls, spec: str, options: Mapping[str, Any], folder: str | None = None) -> CachePlace:
        """Return the place for a `--data` value.

        Args:
            spec: value of `--data`.
            options: option -> value; those that have no effect on the files are ignored.
            folder: value of `--cache-dir`; None for the user's cache folder.
        """
        kind, _, written = spec.partition(":")
        path = os.path.abspath(os.path.expanduser(written.strip()))
        told = json.dumps([kind.strip(), path, *(options.get(name) for name in _NAMING)])
        digest = hashlib.sha256(told.encode()).hexdigest()[:12]
        place = Path(os.path.expanduser(folder)) if folder else user_cache() / "images"
        return cls(place, f"{plain(f'{kind}-{os.path.basename(path)}')}-{digest}")

    def file(self, reading: Reading) -> Path:
        """Return the path of the cache of one reading."""
        fast = "-fast" if reading.is_fast else ""
        return self.folder / f"{self.stem}-{reading.source_size or _WHOLE}{fast}{_ENDING}"

    def source_sizes(self, decoding: str) -> list[int]:
        """Return the source sizes of which there are caches, in order; 0 for images that are not reduced."""
        fast = "-fast" if Reading(decoding=decoding).is_fast else ""
        form = re.compile(rf"{re.escape(self.stem)}-({_WHOLE}|\d+){fast}{re.escape(_ENDING)}")
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        return sorted(0 if found[1] == _WHOLE else int(found[1]) for name in names if (found := form.fullmatch(name)))
