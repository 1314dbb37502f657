"""Drop duplicate images, so that no image is in training twice or in both splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ..table import Int64Array

REPEATED = "duplicates of an image that is kept"
IN_TEST = "duplicates of a test image"
AMBIGUOUS = "duplicates with different labels"

Rows = tuple[Sequence[int], Sequence[bytes | None]]  # targets, and digests of the pixels; None for unreadable images


def without_duplicates(train: Rows, test: Rows) -> tuple[tuple[Int64Array, Int64Array], tuple[Counter[str], ...]]:
    """Return the rows to keep of both splits, and the number of dropped rows by reason.

    Copies of one image with different labels are all dropped. Otherwise the test split keeps one copy, or training
    keeps one if the test split has none.

    Args:
        train: targets and digests of the training images.
        test: targets and digests of the test images.

    Example:
        >>> rows, dropped = without_duplicates(([0, 0, 1, 1], [b"a", b"a", b"b", b"c"]), ([1], [b"b"]))
        >>> rows[0].tolist(), rows[1].tolist(), dict(dropped[0])
        ([0, 3], [0], {'duplicates of an image that is kept': 1, 'duplicates of a test image': 1})
    """
    copies = defaultdict[bytes, list[tuple[int, int, int]]](list)  # digest -> (split, row, target)
    for split, (targets, digests) in enumerate((train, test)):
        for row, (target, digest) in enumerate(zip(targets, digests, strict=True)):
            if digest is not None:
                copies[digest].append((split, row, target))
    dropped: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for group in copies.values():
        if len({target for _, _, target in group}) > 1:
            for split, row, _ in group:
                dropped[split][row] = AMBIGUOUS
            continue
        kept = max(split for split, _, _ in group)
        first = next(row for split, row, _ in group if split == kept)
        for split, row, _ in group:
            if (split, row) != (kept, first):
                dropped[split][row] = REPEATED if split == kept else IN_TEST
    rows = tuple(
        np.array([row for row in range(len(targets)) if row not in dropped[split]], dtype=np.int64)
        for split, (targets, _) in enumerate((train, test))
    )
    return (rows[0], rows[1]), tuple(Counter(dropped[split].values()) for split in (0, 1))
