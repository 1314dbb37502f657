"""Tables whose rows are files: reading a row, and looking at all of them in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from .decode import Box, decode
from .table import ImageTable, Int32Array

Progress = Callable[[int, int], None]  # how many are done, of how many
Seen = TypeVar("Seen")

_BATCH = 64  # files a task: a future for each of 300,000 files would take longer than some decode


class ImageFiles:
    """Reads a row of a list of files, cut to its box where it has one.

    Args:
        files: N files.
        boxes: (N, 4), as `ImageTable.boxes`.
    """

    def __init__(self, files: Sequence[Path], boxes: Int32Array | None = None) -> None:
        self._files, self._boxes = files, boxes

    def __call__(self, row: int) -> Image.Image:
        return decode(self._files[row], box_of(self._boxes, row))


def box_of(boxes: Int32Array | None, row: int) -> Box | None:
    """The box of a row; None for the whole image."""
    if boxes is None:
        return None
    box = Box(*boxes[row].tolist())
    return box if box.right > box.left else None


def each_file(
    tables: Iterable[ImageTable],
    look: Callable[[Path, Box | None], Seen],
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Path, Seen]]:
    """What `look` says of every file of the tables, in their order; a file in several is looked at once.

    Args:
        tables: those without paths are skipped.
        look: called with a path and the box to cut out of it.
        threads: how many look at a time (Pillow releases the interpreter); as many as cores by default.
        progress: called with the number of files done and of all.
    """
    boxes = {
        path: box_of(table.boxes, row) for table in tables for row, path in enumerate(table.paths or ())
    }  # of a file with several boxes the last
    paths = list(boxes)
    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    done = 0
    pool = ThreadPoolExecutor(threads or os.cpu_count())
    try:
        for batch, seen in zip(
            batches, pool.map(lambda part: [look(path, boxes[path]) for path in part], batches), strict=True
        ):
            yield from zip(batch, seen, strict=True)
            done += len(batch)
            if progress is not None:
                progress(done, len(paths))
    finally:  # also when interrupted: what has not begun is not waited for
        pool.shutdown(cancel_futures=True)
