"""Report the contents of a data source and the problems that prevent training: `lossbench data inspect`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError
from .request import Splits
from .splits import check_splits, shared_files, shared_persons
from .table import ImageTable


def inspect_splits(splits: Splits, spec: str) -> dict[str, Any]:
    """Return counts, imbalance, people and files in both splits, notes and problems; no image is opened.

    Args:
        splits: the result of `open_unchecked`.
        spec: the `--data` value.

    Returns:
        JSON-ready: `spec`, `source`, `release` (AffectNet's, else None), `split_origin`, `class_names`, `splits` (for
        "train" and "evaluation": `images`, `class_counts`, `imbalance_ratio`, `people`, `digest`), `people_in_both`,
        `files_in_both`, `dropped` (dropped rows by split and reason), `notes`, and `problems` (what a run would refuse;
        empty if it would start). `imbalance_ratio` is the largest class size over the smallest, None if a class has
        no images.

    Example:
        >>> from lossbench.data.sources import open_data
        >>> content = inspect_splits(open_data("digits"), "digits")
        >>> content["splits"]["train"]["imbalance_ratio"], content["problems"]
        (24.4, [])
    """
    train, test = splits.train, splits.test
    notes, problems = list(splits.notes), []
    try:
        notes += check_splits(train, test)
    except DataError as error:
        problems.append(str(error))
    return {
        "spec": spec,
        "source": train.details.get("path"),
        "release": train.details.get("release"),
        "split_origin": splits.origin,
        "class_names": list(train.class_names),
        "splits": {"train": _split(train), "evaluation": _split(test)},
        "people_in_both": shared_persons(train, test),
        "files_in_both": [str(path) for path in shared_files(train, test)] if problems else [],  # else none was found
        "dropped": train.details.get("dropped", {}),
        "notes": list(dict.fromkeys(notes)),
        "problems": problems,
    }


def _split(table: ImageTable) -> dict[str, Any]:
    counts = dict(zip(table.class_names, table.class_counts, strict=True))
    smallest = min(counts.values(), default=0)
    return {
        "images": len(table),
        "class_counts": counts,
        "imbalance_ratio": max(counts.values()) / smallest if smallest else None,
        "people": None if table.persons is None else len(np.unique(table.persons)),
        "digest": table.digest(),
    }
