"""Read tables whose rows are files: one row, or all files in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from .decode import decode
from .table import ImageTable, Int32Array
from .upright import Box

Progress = Callable[[int, int], None]  # number of processed files, total
Seen = TypeVar("Seen")

_BATCH = 64  # files per task: one future for each of 300,000 files would be slow


class ImageFiles:
    """Reads one row of a list of files, cropped to its box if it has one.

    Args:
        files: N paths.
        boxes: (N, 4) boxes as in `ImageTable.boxes`.
    """

    def __init__(self, files: Sequence[Path], boxes: Int32Array | None = None) -> None:
        self._files, self._boxes = files, boxes

    def __call__(self, row: int) -> Image.Image:
        return decode(*self.place(row))

    def place(self, row: int) -> tuple[Path, Box | None]:
        """Return the file of a row, and its box."""
        return self._files[row], box_of(self._boxes, row)


def box_of(boxes: Int32Array | None, row: int) -> Box | None:
    """Return the box of a row, or None for the whole image."""
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
    """Return the result of `look` for every file of the tables, in their order; each file is processed once.

    Args:
        tables: tables; those without paths are skipped.
        look: called with a path and its box.
        threads: number of threads (Pillow releases the GIL; default: one per core).
        progress: called with the number of processed files and the total.
    """
    boxes = {
        path: box_of(table.boxes, row) for table in tables for row, path in enumerate(table.paths or ())
    }  # for a file with several boxes, the last one
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
    finally:  # also when interrupted: do not wait for tasks that have not started
        pool.shutdown(cancel_futures=True)
