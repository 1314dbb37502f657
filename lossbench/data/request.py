"""What a data source is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .table import ImageTable


@dataclass(frozen=True, kw_only=True)
class Splits:
    """What a run trains on and is judged by; both tables number the classes alike.

    Attributes:
        train: the training split, from which a selection split may still be carved.
        test: the evaluation split.
        origin: where the evaluation split came from, as a phrase.
        notes: what a user should be told of the data.
    """

    train: ImageTable
    test: ImageTable
    origin: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A `--data` spec with the options that bear on it."""

    spec: str
    path: Path | None
    val: str | None
    label: str
    seed: int
    classes: int | None
    min_images: int | None
