"""A table of labeled images, which every data source produces without decoding images."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import DataError

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Pixels = npt.NDArray[np.uint8]
Row = TypeVar("Row", Image.Image, Pixels)


def _nothing() -> None:
    """Do nothing. Not a lambda, because tables are pickled to loader processes."""


@dataclass(frozen=True)
class _Rows(Generic[Row]):
    """Reads one row of a subset."""

    read: Callable[[int], Row]
    rows: Int64Array

    def __call__(self, row: int) -> Row:
        return self.read(int(self.rows[row]))


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTable:
    """N labeled images of C classes.

    Attributes:
        name: the user's name of the data, such as "csv:train.csv".
        class_names: C names, in the order of the target numbers.
        targets: (N,) int64 in [0, C).
        sample_ids: N stable names, one per row (a path, or "train/17").
        read: function from row to RGB image, safe to call from several threads and processes.
        persons: (N,) person on each image, or None; if known, splits are made by person.
        paths: N paths, for sources that are files.
        manifest_rows: N row numbers in the manifest, for messages.
        sha256s: N hexadecimal digests of the files from the manifest, or None.
        boxes: (N, 4) int32, what `read` cuts out of each file: left, top, right and bottom in pixels, which may lie
            beyond the image's edges; a row without width stands for the whole image.
        subject: description of one image, for messages: "a cropped face".
        distributions: (N, C) probabilities of the classes as training targets, whose rows sum to 1, or None for class
            numbers; `targets` are counted, sampled and evaluated in either case.
        pixels: function from row to the (H, W, 3) pixels of `read`, for tables whose images are resized as tensors;
            None where Pillow resizes them.
        prepare: function that is called once before the first read.
        details: further values of the source for the record.
    """

    name: str
    class_names: tuple[str, ...]
    targets: Int64Array
    sample_ids: Sequence[str]
    read: Callable[[int], Image.Image]
    persons: npt.NDArray[np.str_] | None = None
    paths: Sequence[Path] | None = None
    manifest_rows: Sequence[int] | None = None
    sha256s: Sequence[str] | None = None
    boxes: Int32Array | None = None
    subject: str = "an image like those of the training folder"
    distributions: npt.NDArray[np.float32] | None = None
    pixels: Callable[[int], Pixels] | None = None
    prepare: Callable[[], None] = _nothing
    details: dict[str, object] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.targets)
        for field in ("sample_ids", "persons", "paths", "manifest_rows", "sha256s", "boxes", "distributions"):
            column = getattr(self, field)
            if column is not None and len(column) != rows:
                raise DataError(f"{self.name}: {field} has {len(column)} rows, targets has {rows}")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of images of each of the C classes."""
        return tuple(np.bincount(self.targets, minlength=len(self.class_names)).tolist())

    def subset(self, rows: Int64Array) -> ImageTable:
        """Return the table of these rows, in their order."""
        return dataclasses.replace(
            self,
            targets=self.targets[rows],
            sample_ids=[self.sample_ids[row] for row in rows],
            read=_Rows(self.read, rows),
            pixels=None if self.pixels is None else _Rows(self.pixels, rows),
            persons=None if self.persons is None else self.persons[rows],
            paths=None if self.paths is None else [self.paths[row] for row in rows],
            manifest_rows=None if self.manifest_rows is None else [self.manifest_rows[row] for row in rows],
            sha256s=None if self.sha256s is None else [self.sha256s[row] for row in rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            distributions=None if self.distributions is None else self.distributions[rows],
        )

    def digest(self) -> str:
        """Return the SHA-256 of class names, sample ids and targets, and of boxes, distributions and the files' digests
        of tables that have them."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        digest.update(json.dumps(list(self.sample_ids)).encode())
        digest.update(self.targets.astype("<i8").tobytes())
        if self.sha256s is not None:
            digest.update(json.dumps(list(self.sha256s)).encode())
        if self.boxes is not None:
            digest.update(self.boxes.astype("<i4").tobytes())
        if self.distributions is not None:
            digest.update(self.distributions.astype("<f4").tobytes())
        return digest.hexdigest()
