"""`predictions.npz`: scores, targets and embeddings of a finished run; names and forms of its arrays are here alone."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import files
from ..errors import RecordError
from ..strict_files import opened
from .layout import PREDICTIONS
from .npz_reader import ZIP_ERRORS, Array, NpzReader
from .record import Record

_FILE_LIMIT = 64 * 2**30  # bytes on disk


@dataclass(frozen=True)
class SplitPredictions:
    """What the model gave for a split, in the table's order.

    Attributes:
        scores: (N, C) float32; the largest wins.
        targets: (N,) int64 class indices.
        sample_ids: (N,) names of the images; None if they were not read.
        embeddings: (N, D) float16 or float32; None if they were not read.
    """

    scores: Array
    targets: Array
    sample_ids: Array | None = None
    embeddings: Array | None = field(default=None, repr=False)

    @property
    def vectors(self) -> Array:
        """The embeddings, which must have been read."""
        if self.embeddings is None:
            raise ValueError("the embeddings of this split were not read")
        return self.embeddings


@dataclass(frozen=True)
class Predictions:
    """The arrays of a run.

    Attributes:
        test: the test split.
        selection: the selection split; None without one.
        refit_scores: (N, C) scores of the linear classifier on the test split; None if it was not fitted.
        centers: (C, D) class centers of the loss; None if it has none or they were not read.
        class_names: C names, in the order of the scores; None if they were not read, as the record has them.
    """

    test: SplitPredictions
    selection: SplitPredictions | None = None
    refit_scores: Array | None = None
    centers: Array | None = field(default=None, repr=False)
    class_names: Array | None = field(default=None, repr=False)


def write_predictions(directory: Path, predictions: Predictions) -> None:
    """Write `predictions.npz`."""
    arrays: dict[str, Array | None] = {}
    for split, values in (("test", predictions.test), ("selection", predictions.selection)):
        if values is not None:
            arrays |= {f"{split}_{name}": getattr(values, name) for name in values.__dataclass_fields__}
    arrays |= {"test_refit_scores": predictions.refit_scores, "centers": predictions.centers}
    arrays["class_names"] = predictions.class_names
    files.write_arrays(
        directory / PREDICTIONS,
        {name: value for name, value in arrays.items() if value is not None},
        make_directory=False,
    )


def read_predictions(directory: Path, record: Record, *, embeddings: bool = False) -> Predictions:
    """Read the arrays of a run; shapes and types are checked against the record before any data is read.

    Args:
        directory: of the run.
        record: of the run.
        embeddings: read embeddings and centers, too; they are the largest arrays.

    Raises:
        RecordError: the file is missing or damaged, or contradicts the record.
    """
    file = directory / PREDICTIONS
    data, width = record.data, record.model.embedding_dim
    classes, images = len(data.class_names), sum(data.test_counts.values())
    try:
        with opened(file, _FILE_LIMIT) as handle, zipfile.ZipFile(handle) as archive:
            read = NpzReader(archive)

            def split(name: str, rows: int) -> SplitPredictions:
                return SplitPredictions(
                    scores=read.numbers(f"{name}_scores", (rows, classes), "f"),
                    targets=read.labels(f"{name}_targets", rows, classes),
                    sample_ids=read.names(f"{name}_sample_ids", rows),
                    embeddings=read.floats(f"{name}_embeddings", (rows, width)) if embeddings else None,
                )

            found = Predictions(
                test=split("test", images),
                selection=split("selection", data.selection_images) if data.selection_images else None,
                refit_scores=read.optional("test_refit_scores", (images, classes)),
                centers=read.centers() if embeddings else None,
            )
    except ZIP_ERRORS as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{file} is truncated or damaged: {type(error).__name__}: {error}") from error
    _check_confusion(file, found.test, record)
    return found


def _check_confusion(file: Path, test: SplitPredictions, record: Record) -> None:
    """Refuse predictions that are not those of the record."""
    classes = len(record.data.class_names)
    counts = record.data.in_order(record.data.test_counts)
    if np.bincount(test.targets, minlength=classes).tolist() != counts:
        raise RecordError(f"{file} holds other targets than the record's test_counts: one of them was replaced")
    if record.confusion_matrix is None:
        return
    counted = np.bincount(test.targets * classes + test.scores.argmax(axis=1), minlength=classes**2)
    if counted.reshape(classes, classes).tolist() != [list(row) for row in record.confusion_matrix]:
        raise RecordError(
            f"{file} gives another confusion matrix than record.json holds: one of the two files was replaced"
        )
