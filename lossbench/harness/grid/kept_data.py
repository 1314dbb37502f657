"""Keep data open between the runs of one process."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from typing import Any

from ...data.request import Splits
from ...data.sources import open_data, source_of
from ...data.table import ImageTable
from ...runs.option import Role
from ...runs.options import RunConfig
from ..readable_splits import Readable, read_splits
from ..reporter import Reporter

_Key = tuple[int | None, int | None]  # seed and fold


def seed_of_data(config: RunConfig) -> int | None:
    """Return the seed of a run if it decides which images the splits hold, else None."""
    return config.seed if source_of(config.data).depends_on_seed or config.folds else None


class WarmSplits:
    """Reads splits as `read_splits` does and keeps the last ones: checked, rendered, and decoded if runs use a cache.

    Runs on the same data source then check it only once. A source that depends on the seed is kept for one seed, and so
    is one that is divided into folds.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._kept: Readable | None = None

    def __call__(self, config: RunConfig, reporter: Reporter) -> Readable:
        key = (seed_of_data(config), *config.values(Role.READS_DATA).values())
        if self._kept is None or key != self._key:
            splits, skipped = read_splits(config, reporter)
            if config.caches_in_memory:
                splits = _remembering(splits)
            self._key, self._kept = key, (splits, skipped)
        return self._kept


class _Remembered:
    """A read function that decodes each row once."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read
        self.images: dict[int, Any] = {}

    def __call__(self, row: int) -> Any:
        if row not in self.images:
            self.images[row] = self.read(row)
        return self.images[row]


def _remembering(splits: Splits) -> Splits:
    def keep(table: ImageTable) -> ImageTable:
        pixels = None if table.pixels is None else _Remembered(table.pixels)
        return dataclasses.replace(table, read=_Remembered(table.read), pixels=pixels)

    return dataclasses.replace(splits, train=keep(splits.train), test=keep(splits.test))


class OpenedSplits:
    """Reads each split once without decoding images, for planning."""

    def __init__(self) -> None:
        self._splits: dict[_Key, Splits] = {}
        self._digests: dict[_Key, list[str]] = {}

    def __call__(self, config: RunConfig, reporter: Reporter) -> Readable:
        del reporter
        return self._open(config), ()

    def digests(self, config: RunConfig) -> list[str]:
        key = self._key(config)
        if key not in self._digests:
            splits = self._open(config)
            self._digests[key] = [part for t in (splits.train, splits.test) for part in (t.digest(), _sizes(t))]
        return self._digests[key]

    def _open(self, config: RunConfig) -> Splits:
        key = self._key(config)
        if key not in self._splits:
            self._splits[key] = open_data(config.data, **config.values(Role.OPENS_DATA))
        return self._splits[key]

    def _key(self, config: RunConfig) -> _Key:
        return seed_of_data(config), config.fold


def _sizes(table: ImageTable) -> str:
    """Return the file sizes of a table, because a replaced image rarely has the same size."""
    sizes = [os.stat(path).st_size if os.path.exists(path) else -1 for path in table.paths or ()]
    return hashlib.sha256(repr(sizes).encode()).hexdigest()
