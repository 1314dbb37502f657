"""The request to a data source and its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ..errors import DataError
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


class Options(TypedDict, total=False):
    """The options of a run that bear on its data.

    Attributes:
        val: manifest or folder of the test split, for sources that are files.
        label: label column of manifests; "person" makes each person (of folders, each subfolder) a class.
        seed: seed of the run (default: 0); only `digits` depends on it.
        classes: 7 or 8, for AffectNet and FER+; None for the classes of the release.
        min_images: minimum images per person, with people as classes; None for `MIN_IMAGES`.
        root: folder that the paths of manifests start from; None for the folder of each manifest.
        path_column: path column of manifests (default: "path").
        fold_labels: read labels that differ only in case, spaces, quotes or Unicode form as one.
        folds: number of folds that all images are divided into by the seed; None for the splits of the data.
        fold: the fold that is the test split, from 1; None for the first.
    """

    val: str | None
    label: str
    seed: int
    classes: int | None
    min_images: int | None
    root: str | None
    path_column: str
    fold_labels: bool
    folds: int | None
    fold: int | None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A `--data` value with the options that affect it."""

    spec: str
    path: Path | None = None
    val: str | None = None
    label: str = "label"
    seed: int = 0
    classes: int | None = None
    min_images: int | None = None
    root: str | None = None
    path_column: str = "path"
    fold_labels: bool = False
    soft_votes: bool = False

    def refuse_split_options(self) -> None:
        """Raise a DataError if an option names other splits or labels than those of the data."""
        if self.val is not None or self.label != "label":
            option = "--val" if self.val is not None else "--label"
            raise DataError(f"{option} does not apply to --data {self.spec!r}, which has its own splits and labels")

    def published_folder(self) -> Path:
        """Return the folder of a published dataset, after refusing options for other splits and labels."""
        assert self.path is not None
        self.refuse_split_options()
        return self.path
