"""The request to a data source and its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .table import ImageTable


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The training and test tables of a run, with the same class numbers.

    Attributes:
        train: training split, including a selection split that may be carved from it.
        test: test split.
        origin: origin of the test split, as a phrase.
        notes: messages for the user about the data.
        whole: the table that both were carved from; None if the data has a test split.
    """

    train: ImageTable
    test: ImageTable
    origin: str
    notes: tuple[str, ...] = ()
    whole: ImageTable | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A `--data` value with the options that affect it."""

    spec: str
    path: Path | None
    val: str | None
    label: str
    seed: int
    classes: int | None
    min_images: int | None
    root: Path | None = None
    path_column: str = "path"
    fold_labels: bool = False
