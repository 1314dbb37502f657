"""Read the images of a run's splits as its options say: reduced, and from a cache on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ..announce import Announcement
from ..data import CacheOn
from ..data.cache_place import CachePlace
from ..data.cached_images import open_or_make
from ..data.preflight import unreadable_error
from ..data.read_images import read_as
from ..data.readable_cache import ReadableFiles
from ..data.request import Splits
from ..errors import ConfigError, DataError
from ..runs.options import RunConfig
from .reporter import Reporter


def with_images(splits: Splits, config: RunConfig, reporter: Reporter) -> Splits:
    """Return splits whose images are read as the run reads them.

    Args:
        splits: splits without unreadable images.
        config: options of the run.
        reporter: receives a message if a cache is made.

    Raises:
        DataError: the images are not files, or one of them cannot be read.
        StorageError, ConfigError: a cache cannot be written.
    """
    tables = (splits.train, splits.test)
    if config.cache_on != CacheOn.DISK:
        train, test = (read_as(table, config.reading) for table in tables)
    else:
        if splits.train.paths is None:
            raise DataError(f"--cache-on disk applies to images in files, not to --data {config.data!r}")
        known = ReadableFiles(recognize=config.recognize_files)
        path = _place(config).file(config.reading)
        made = open_or_make(
            path,
            tables,
            config.reading,
            known=known,
            say=reporter.message,
            warn=reporter.warning,
            progress=Announcement(reporter.message, "decoding images for the cache"),
        )
        if made.unreadable:
            raise unreadable_error(made.unreadable)
        train, test = map(made.of, tables)
    return dataclasses.replace(splits, train=train, test=test)


def with_source_size(config: RunConfig, say: Callable[[str], None]) -> RunConfig:
    """Return the options with the source size of the cache that exists, if they name a cache and no size.

    Commands call this once, so that all cells of a comparison have one source size whatever caches are made meanwhile.
    Without a cache, images are not reduced.

    Args:
        config: options of a run.
        say: receives the source size if the cache decides it.

    Raises:
        ConfigError: there are caches of several source sizes.
    """
    if config.source_size is not None or config.cache_on != CacheOn.DISK:
        return config
    place = _place(config)
    sizes = place.source_sizes(config.decoding)
    if len(sizes) > 1:
        raise ConfigError(
            f"--cache-on disk: {place.folder} has caches of --data {config.data!r} with several source sizes; pass one "
            f"of --source-size {', '.join(map(str, sizes))} (0: not reduced)"
        )
    if not any(sizes):
        return config
    say(f"images are reduced to a shorter side of {sizes[0]} px, as in their cache (--source-size {sizes[0]})")
    return dataclasses.replace(config, source_size=sizes[0])


def _place(config: RunConfig) -> CachePlace:
    return CachePlace.of(config.data, config.opening(), config.cache_dir)
