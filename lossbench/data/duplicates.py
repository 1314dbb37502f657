"""Find images with equal pixels, by the digests that `preflight.unreadable` collects while it decodes files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .table import ImageTable, Int64Array

Pixels = Mapping[Path, bytes]  # file -> digest of the pixels that a run would see


def equal_across(train: ImageTable, test: ImageTable, pixels: Pixels) -> list[tuple[str, str]]:
    """Return the sample ids of test images that equal a training image, each with the id of the first equal one."""
    first: dict[bytes, int] = {}
    for row, digest in _digests(train, pixels):
        first.setdefault(digest, row)
    return [
        (test.sample_ids[row], train.sample_ids[first[digest]])
        for row, digest in _digests(test, pixels)
        if digest in first
    ]


class Repeated(NamedTuple):
    """Equal images within one table.

    Attributes:
        rows: rows that equal an earlier row of the same class.
        contradictions: sample ids of each group of equal images of different classes.
    """

    rows: Int64Array
    contradictions: list[tuple[str, ...]]


def repeated(table: ImageTable, pixels: Pixels) -> Repeated:
    """Return the images of a table that equal another one of it."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, digest in _digests(table, pixels):
        groups[digest].append(row)
    again, contradictions = [], []
    for rows in groups.values():
        first = {int(table.targets[row]): row for row in reversed(rows)}
        again += [row for row in rows if first[int(table.targets[row])] != row]
        if len(first) > 1:
            contradictions.append(tuple(table.sample_ids[row] for row in sorted(first.values())))
    return Repeated(np.array(sorted(again), dtype=np.int64), contradictions)


def _digests(table: ImageTable, pixels: Pixels) -> list[tuple[int, bytes]]:
    """Return rows with the digests of their pixels; of a file that has several rows, the digest is that of one box."""
    paths = table.paths or ()
    often = {path for path, count in Counter(paths).items() if count > 1} if table.boxes is not None else set()
    return [(row, pixels[path]) for row, path in enumerate(paths) if pixels.get(path) and path not in often]
