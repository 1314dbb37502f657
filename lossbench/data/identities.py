"""Split a dataset so that every person has one test image."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..errors import DataError
from .table import ImageTable, Int64Array


def carve_identities(table: ImageTable, min_images: int, seed: int) -> tuple[ImageTable, Int64Array, Int64Array]:
    """Hold out one image of every class, and drop classes with too few images.

    Args:
        table: table of N images whose classes are people.
        min_images: minimum number of images of a class, at least 2.
        seed: random seed; the result is a pure function of all arguments.

    Returns:
        The table of the remaining classes, renumbered, and its training and held-out rows, both sorted.

    Raises:
        DataError: `min_images` is below 2, or fewer than two classes have this many images.

    Example:
        >>> table = ImageTable(name="demo", class_names=("ann", "bob", "cy"), targets=np.repeat([0, 1, 2], [4, 2, 5]),
        ...                    sample_ids=[str(row) for row in range(11)], read=lambda row: None)
        >>> kept, train_rows, held_rows = carve_identities(table, 4, seed=0)
        >>> kept.class_names, kept.subset(train_rows).class_counts, kept.subset(held_rows).class_counts
        (('ann', 'cy'), (3, 4), (1, 1))
    """
    if min_images < 2:
        raise DataError(
            f"--min-images must be at least 2 (one image for training, one for testing); it is {min_images}"
        )
    counts = np.array(table.class_counts)
    kept = np.flatnonzero(counts >= min_images)
    if len(kept) < 2:
        raise DataError(
            f"{table.name}: {len(kept)} of {len(counts):,} people have at least {min_images} images (the maximum is "
            f"{counts.max()}), but two people are needed; lower --min-images"
        )
    number = np.full(len(counts), -1)
    number[kept] = np.arange(len(kept))
    chosen = table.subset(np.flatnonzero(number[table.targets] >= 0))
    chosen = dataclasses.replace(
        chosen, class_names=tuple(table.class_names[old] for old in kept.tolist()), targets=number[chosen.targets]
    )
    order = np.random.default_rng(seed).permutation(len(chosen))
    _, first = np.unique(chosen.targets[order], return_index=True)
    held = np.zeros(len(chosen), dtype=np.bool_)
    held[order[first]] = True
    return chosen, np.flatnonzero(~held), np.flatnonzero(held)
