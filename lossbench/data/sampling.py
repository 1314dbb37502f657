"""Compute the order of an epoch and how often it shows each class."""

from __future__ import annotations

import numpy as np

from . import ClassBatches, Sampler
from .table import ImageTable, Int64Array


def epoch_order(table: ImageTable, sampler: Sampler | ClassBatches, seed: int, epoch: int) -> Int64Array:
    """Return the rows of one epoch, as many as the table has: a pure function of (seed, epoch).

    Args:
        table: training split.
        sampler: how rows are sampled.
        seed: seed of the order.
        epoch: epoch, counted from 0.
    """
    generator = np.random.default_rng((seed, epoch))
    if sampler is Sampler.NATURAL:
        return generator.permutation(len(table)).astype(np.int64)
    if isinstance(sampler, ClassBatches):
        return _class_batches(table, sampler, generator)
    return generator.choice(len(table), size=len(table), p=row_probabilities(table, sampler))


def _class_batches(table: ImageTable, sampler: ClassBatches, generator: np.random.Generator) -> Int64Array:
    """Return an epoch of batches with N rows of each of M classes; a class with fewer rows repeats some."""
    rows_of = [np.flatnonzero(table.targets == c) for c, count in enumerate(table.class_counts) if count]
    batches = []
    for _ in range(-(-len(table) // sampler.batch_size)):
        for chosen in generator.permutation(len(rows_of))[: sampler.classes]:
            rows = rows_of[chosen]
            batches.append(generator.choice(rows, size=sampler.images, replace=len(rows) < sampler.images))
    return np.concatenate(batches)[: len(table)].astype(np.int64)


def row_probabilities(
    table: ImageTable, sampler: Sampler | ClassBatches
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the (N,) probability with which each row is drawn.

    Args:
        table: training split.
        sampler: how rows are sampled.
    """
    share = class_shares(table.class_counts, sampler)
    return np.asarray((share / np.maximum(np.array(table.class_counts), 1))[table.targets])


def class_shares(
    training_counts: tuple[int, ...], sampler: Sampler | ClassBatches
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the (C,) share of draws that each class gets; a class without images is never drawn.

    Example:
        >>> class_shares((900, 100), Sampler.SQRT)
        array([0.75, 0.25])
    """
    power = {Sampler.NATURAL: 1.0, Sampler.SQRT: 0.5}.get(sampler, 0.0) if isinstance(sampler, Sampler) else 0.0
    counts = np.array(training_counts, dtype=np.float64)
    raw = np.where(counts > 0, counts**power, 0.0)
    return np.asarray(raw / raw.sum(), dtype=np.float64)


def drawn_counts(training_counts: tuple[int, ...], sampler: Sampler | ClassBatches) -> tuple[int, ...]:
    """Return the expected images of each class in one epoch, rounded, at least 1 for a class that has images.

    These are the class frequencies that the network is trained on, so class weights and shifts by a prior are computed
    from them. With the natural sampler they equal the counts of the table.

    Args:
        training_counts: C images of each class in the table.
        sampler: how rows are drawn.

    Example:
        >>> drawn_counts((900, 100), Sampler.BALANCED)
        (500, 500)
    """
    expected = np.rint(class_shares(training_counts, sampler) * sum(training_counts)).astype(int)
    return tuple(max(int(e), 1) if n else 0 for e, n in zip(expected, training_counts, strict=True))
