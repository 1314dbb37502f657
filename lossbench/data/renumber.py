"""Number the classes of one data set as those of another, by their names, to test on it."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection

import numpy as np

from .labels import folded
from .request import Request, Splits
from .table import ImageTable


def renumbered(table: ImageTable, class_names: tuple[str, ...], *, fold_labels: bool = False) -> ImageTable:
    """Return a table whose classes are those of other data, followed by the table's own that have images.

    Args:
        table: the table.
        class_names: classes of the other data.
        fold_labels: whether a label may differ from its class in what a person overlooks, such as case.

    Example:
        >>> table = ImageTable(name="demo", class_names=("Dog", "cat"), targets=np.array([0, 1]),
        ...                    sample_ids=["a", "b"], read=lambda row: None)
        >>> renumbered(table, ("cat", "dog")).class_names, renumbered(table, ("cat", "dog"), fold_labels=True).targets
        (('cat', 'dog', 'Dog'), array([1, 0]))
    """
    number = {name: position for position, name in enumerate(class_names)}
    if fold_labels:
        alike = {folded(name): position for name, position in number.items()}
        number |= {name: alike[folded(name)] for name in table.class_names if folded(name) in alike}
    counts = zip(table.class_names, table.class_counts, strict=True)
    more = [name for name, count in counts if count and name not in number]
    number |= {name: len(class_names) + position for position, name in enumerate(more)}
    targets = np.array([number.get(name, -1) for name in table.class_names], dtype=np.int64)[table.targets]
    return dataclasses.replace(table, class_names=(*class_names, *more), targets=targets, distributions=None)


def with_test_split(own: Splits, theirs: Splits, request: Request) -> Splits:
    """Return splits for training on one source and testing on another, whose classes are matched by name.

    Args:
        own: splits of the data; all images are training images if it has no test split of its own.
        theirs: splits of the source that `--val` names, of which the test split is taken, or all images without one.
        request: the request for the data.
    """
    train = own.train if own.whole is None else own.whole
    test = theirs.test if theirs.whole is None else theirs.whole
    origin = f"--val {request.val}"
    unused = (
        ()
        if own.whole is not None
        else (f"{request.spec}: {len(own.test):,} test image(s) are not used, because of {origin}",)
    )
    return Splits(
        train=train,
        test=renumbered(test, train.class_names, fold_labels=request.fold_labels),
        origin=origin,
        notes=(*own.notes, *theirs.notes, *unused),
    )


def other_source(val: str | None, kinds: Collection[str]) -> str | None:
    """Return the value of `--val` if it names a source of these kinds and not a path."""
    kind = re.split("[:(]", val or "")[0].strip()
    return val if kind in kinds and not os.path.lexists(val or "") else None
