"""The order of an epoch, and the class counts that a loss is told."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from .table import ImageTable, Int64Array


class Sampler(StrEnum):
    """How training rows are drawn."""

    NATURAL = "natural"  # every row once an epoch
    BALANCED = "balanced"  # classes alike, rows of a class alike, with replacement
    SQRT = "sqrt"  # classes by the square root of their counts, with replacement


def epoch_order(table: ImageTable, sampler: Sampler, seed: int, epoch: int) -> Int64Array:
    """The rows of one epoch, as many as the table has: a pure function of (seed, epoch).

    Args:
        table: the training split.
        sampler: how rows are drawn.
        seed: of the order.
        epoch: from 0.
    """
    generator = np.random.default_rng((seed, epoch))
    if sampler is Sampler.NATURAL:
        return generator.permutation(len(table)).astype(np.int64)
    counts = np.array(table.class_counts)
    share = class_shares(table.class_counts, sampler)
    return generator.choice(len(table), size=len(table), p=(share / np.maximum(counts, 1))[table.targets])


def class_shares(class_counts: tuple[int, ...], sampler: Sampler) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(C,) how often each class is drawn, summing to 1; a class without images is never drawn.

    Example:
        >>> class_shares((900, 100), Sampler.SQRT)
        array([0.75, 0.25])
    """
    power = {Sampler.NATURAL: 1.0, Sampler.SQRT: 0.5, Sampler.BALANCED: 0.0}[sampler]
    counts = np.array(class_counts, dtype=np.float64)
    raw = np.where(counts > 0, counts**power, 0.0)
    return np.asarray(raw / raw.sum(), dtype=np.float64)


def sampled_counts(class_counts: tuple[int, ...], sampler: Sampler) -> tuple[int, ...]:
    """Class counts as an epoch shows them, rounded, at least 1 where there is an image: what class weights come from.

    Example:
        >>> sampled_counts((900, 100), Sampler.BALANCED)
        (500, 500)
    """
    expected = np.rint(class_shares(class_counts, sampler) * sum(class_counts)).astype(int)
    return tuple(max(int(e), 1) if n else 0 for e, n in zip(expected, class_counts, strict=True))
