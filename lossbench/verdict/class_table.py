"""The classes of a comparison in the order in which tables list them: from the most to the least frequent in training.

Some data makes other classes rare for every seed. A class then has no training count of its own, and tables list ranks:
"rank 1" is the most frequent class of each seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .entrants import Entrant

Ints = npt.NDArray[np.integer[Any]]

_ROTATES = 1.5  # times as many training images of a class for one seed as for another


@dataclass(frozen=True)
class ClassTable:
    """Names and counts of the classes.

    Attributes:
        names: (C,) names, by class number.
        labels: (C,) names in the order of tables: those of classes, or of ranks.
        training: (C,) mean training images over seeds, in the order of tables; None if they are not known.
        test: (C,) mean test images over seeds, in the order of tables.
        by_rank: whether the order of the classes differs between seeds.
        orders: seed -> (C,) class numbers in the order of tables; seeds without an entry have that of `None`.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    training: tuple[float, ...] | None
    test: tuple[float, ...]
    by_rank: bool
    orders: Mapping[int | None, Ints] = field(repr=False)

    def order(self, seed: int) -> Ints:
        """Return class numbers in the order of tables, (C,)."""
        return self.orders.get(seed, self.orders[None])

    def place(self, seed: int) -> Ints:
        """Return the place of each class in tables, (C,), by class number."""
        return np.argsort(self.order(seed))

    def confusion(self, entrant: Entrant) -> npt.NDArray[np.float64]:
        """Return the confusion matrix over seeds, (C, C), rows true, columns predicted, in the order of tables.

        Entries are shares of their row; rows without test images are NaN.
        """
        classes = len(self.names)
        total = np.zeros((classes, classes))
        for seed, predicted in entrant.predictions.items():
            place = self.place(seed)
            pairs = place[entrant.seed_targets[seed]] * classes + place[predicted]
            total += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        rows = total.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(total, rows, out=np.full_like(total, np.nan), where=rows > 0))

    def recall(self, entrant: Entrant) -> npt.NDArray[np.float64]:
        """Return the recall of each class over seeds, (C,), in the order of tables; NaN without test images."""
        classes = len(self.names)
        hits, images = np.zeros(classes), np.zeros(classes)
        for seed, predicted in entrant.predictions.items():
            order, targets = self.order(seed), entrant.seed_targets[seed]
            hits += np.bincount(targets[predicted == targets], minlength=classes)[order]
            images += np.bincount(targets, minlength=classes)[order]
        return np.asarray(np.divide(hits, images, out=np.full(classes, np.nan), where=images > 0))


def class_table(
    names: Sequence[str], targets: Mapping[int, Ints], training: Mapping[int, Sequence[int]] | None
) -> ClassTable:
    """Return the classes of a comparison.

    Args:
        names: (C,) names, by class number.
        targets: seed -> (N,) classes of the test images.
        training: seed -> (C,) training images of each class; None if they are not known.

    Example:
        >>> table = class_table(["a", "b"], {0: np.array([0, 1]), 1: np.array([0, 1])}, {0: [9, 2], 1: [2, 7]})
        >>> table.labels, table.training, table.order(1).tolist()
        (('rank 1', 'rank 2'), (8.0, 2.0), [1, 0])
    """
    test = {seed: np.bincount(labels, minlength=len(names)) for seed, labels in targets.items()}
    if training is None:
        order = np.arange(len(names))
        return ClassTable(tuple(names), tuple(names), None, _mean(test, {None: order}), False, {None: order})
    counts = {seed: np.asarray(values) for seed, values in training.items()}
    orders: dict[int | None, Ints] = {s: np.argsort(-values, kind="stable") for s, values in counts.items()}
    first = next(iter(orders.values()))
    rows = np.stack(list(counts.values()))
    rotates = (rows.max(axis=0) >= _ROTATES * rows.min(axis=0)).any()
    by_rank = bool(rotates) and any((order != first).any() for order in orders.values())
    if not by_rank:
        mean = np.mean(list(counts.values()), axis=0)
        orders = {None: np.argsort(-mean, kind="stable")}
    else:
        orders[None] = first
    labels = [f"rank {n + 1}" for n in range(len(names))] if by_rank else [names[n] for n in orders[None].tolist()]
    return ClassTable(tuple(names), tuple(labels), _mean(counts, orders), _mean(test, orders), by_rank, orders)


def _mean(counts: Mapping[int, Ints], orders: Mapping[int | None, Ints]) -> tuple[float, ...]:
    """Mean over seeds, in the order of tables."""
    rows = [values[orders.get(seed, orders[None])] for seed, values in counts.items()]
    return tuple(np.mean(rows, axis=0).tolist())
