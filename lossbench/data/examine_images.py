"""Open every image of two splits and report unreadable images, duplicates and image sizes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from .decode import Examined, digest_of_pixels, examine
from .files import Progress, each_file
from .request import Splits
from .table import ImageTable

_PIXELS_AT_A_TIME = 256  # rows between two progress updates


def inspect_images(splits: Splits, threads: int | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Decode all images and return what is wrong with them.

    Images are duplicates if the pixels that a run would see are equal.

    Args:
        splits: the result of `open_unchecked`.
        threads: number of decoding threads (default: one per core).
        progress: called with the number of processed images and the total.

    Returns:
        JSON-ready: `images`; `unreadable` (`image`, `split`, `reason`); `duplicates`, groups of `image`, `split` and
        `class`; `warned` (`image`, `split`, `warning`), readable images that the decoder warns about;
        `duplicates_across_splits` and `duplicates_of_other_class`, numbers of groups; `width` and `height`
        (`min`, `median`, `max` in pixels before cropping to a face box; None if no image is readable).
    """
    tables = {"train": splits.train, "evaluation": splits.test}
    files = dict(each_file(tables.values(), examine, threads, progress))
    seen = {
        name: _drawn(table, progress) if table.paths is None else [files[path] for path in table.paths]
        for name, table in tables.items()
    }
    unreadable, warned = [], []
    same: dict[bytes, list[dict[str, str]]] = defaultdict(list)
    sizes = []
    for split, table in tables.items():
        for row, found in enumerate(seen[split]):
            if found.reason is not None:
                unreadable.append({"image": table.sample_ids[row], "split": split, "reason": found.reason})
                continue
            name = table.class_names[table.targets[row]]
            same[found.pixels].append({"image": table.sample_ids[row], "split": split, "class": name})
            sizes.append((found.width, found.height))
            if found.warning is not None:
                warned.append({"image": table.sample_ids[row], "split": split, "warning": found.warning})
    groups = [group for group in same.values() if len(group) > 1]
    return {
        "images": sum(map(len, tables.values())),
        "unreadable": unreadable,
        "warned": warned,
        "duplicates": groups,
        "duplicates_across_splits": sum(len({image["split"] for image in group}) > 1 for group in groups),
        "duplicates_of_other_class": sum(len({image["class"] for image in group}) > 1 for group in groups),
        "width": _spread([width for width, _ in sizes]),
        "height": _spread([height for _, height in sizes]),
    }


def _drawn(table: ImageTable, progress: Progress | None) -> list[Examined]:
    table.prepare()
    seen = []
    for row in range(len(table)):
        image = table.read(row)
        seen.append(Examined(None, digest_of_pixels(image), *image.size))
        if progress is not None and ((row + 1) % _PIXELS_AT_A_TIME == 0 or row + 1 == len(table)):
            progress(row + 1, len(table))
    return seen


def _spread(values: list[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {"min": min(values), "median": float(np.median(values)), "max": max(values)}
