"""`lossbench data cache`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError, listed
from ..runs.option import Role
from ..runs.options import RunConfig, option_names
from .output import print_json
from .parameters import Json, takes_options
from .terminal import print_plain

_SHOWN = 20  # unreadable files that are listed
_NOT_TAKEN = ("allow_missing_classes", "folds", "fold")
_TAKEN = [name for name in option_names(Role.OPENS_DATA) if name not in _NOT_TAKEN]


@takes_options(
    [*_TAKEN, "decoding", "cache_dir", "recognize_files"],
    seed="Random seed of the run; no data in files depends on it.",
)
def cache(
    spec: Annotated[
        str,
        Argument(metavar="SPEC", help="Data in files, as for --data: csv:FILE, folder:DIR, affectnet:DIR, ..."),
    ],
    size: Annotated[
        int, Option(metavar="N", min=0, help="Shorter side in pixels to which larger images are reduced; 0: as stored.")
    ] = 0,
    json_: Json = False,
    **options: Any,
) -> None:
    """Decode the images of a dataset once into a file on disk, which runs with --cache-on disk share.

    lossbench data cache csv:faces/train.csv --size 256

    lossbench run --loss weighted-cluster --data csv:faces/train.csv --cache-on disk

    A cache that exists is kept if its files have not changed.
    """
    config = RunConfig(loss="softmax", data=spec, source_size=size, cache_on="disk", **options)
    from ..data.cache_place import CachePlace
    from ..data.cached_images import open_or_make
    from ..data.readable_cache import ReadableFiles
    from ..data.sources import open_unchecked
    from .watch_run import counting

    splits = open_unchecked(spec, **config.opening())
    if splits.train.paths is None:
        raise ConfigError(f"{spec}: its images are not in files, so there is nothing to decode; runs need no cache")
    path = CachePlace.of(spec, config.opening(), config.cache_dir).file(config.reading)
    say = _on_stderr
    with counting("decoding images") as progress:
        made = open_or_make(
            path,
            (splits.train, splits.test),
            config.reading,
            known=ReadableFiles(recognize=config.recognize_files),
            say=say,
            warn=say,
            progress=progress,
        )
    head = made.cache.head
    content = {
        "path": str(path),
        "written": made.written,
        "images": head.images,
        "bytes": head.size,
        "source_size": head.source_size,
        "decoding": head.decoding,
        "sources_sha256": head.sources,
        "unreadable": [{"image": str(file), "reason": reason} for file, reason in made.unreadable],
    }
    if json_:
        print_json(content)
        return
    if made.unreadable:
        rows = [f"{file}: {reason}" for file, reason in made.unreadable]
        say(f"{len(rows)} image(s) cannot be read and are left out:\n{listed(rows, limit=_SHOWN)}")
    how = "written" if made.written else "up to date"
    print_plain(f"{path}: {head.images:,} images, {head.size / 1e6:,.1f} MB, {how}")


def _on_stderr(text: str) -> None:
    print_plain(text, file=sys.stderr)
