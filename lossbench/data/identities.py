"""People as classes: an evaluation split that has an image of each."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..errors import DataError
from .table import ImageTable, Int64Array


def carve_identities(table: ImageTable, min_images: int, seed: int) -> tuple[ImageTable, Int64Array, Int64Array]:
    """Holds one image of every class back, and leaves classes out that have too few images.

    Args:
        table: N images; its classes are people.
        min_images: of a class that is kept; at least 2.
        seed: the result is a function of it and of the arguments above.

    Returns:
        The table of the classes that are kept, numbered anew, and its training and held rows, both sorted.

    Raises:
        DataError: `min_images` below 2, or fewer than two classes with so many images.

    Example:
        >>> table = ImageTable(name="demo", class_names=("ann", "bob", "cy"), targets=np.repeat([0, 1, 2], [4, 2, 5]),
        ...                    sample_ids=[str(row) for row in range(11)], read=lambda row: None)
        >>> kept, train_rows, held_rows = carve_identities(table, 4, seed=0)
        >>> kept.class_names, kept.subset(train_rows).class_counts, kept.subset(held_rows).class_counts
        (('ann', 'cy'), (3, 4), (1, 1))
    """
    if min_images < 2:
        raise DataError(f"--min-images must be at least 2, one to train on and one to evaluate on; it is {min_images}")
    counts = np.array(table.class_counts)
    kept = np.flatnonzero(counts >= min_images)
    if len(kept) < 2:
        raise DataError(
            f"{table.name}: {len(kept)} of {len(counts):,} people have at least {min_images} images (the most is "
            f"{counts.max()}), and two are needed; lower --min-images"
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
