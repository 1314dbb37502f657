"""The embedded dataset "synthetic": rendered faces of eight expressions, as imbalanced as AffectNet.

Nothing is read from disk or network. An image is a pure function of (data seed, split, row) and the parameters, so that
results can be reproduced anywhere. The data seed is independent of the seed of a run: runs with different seeds see the
same images.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import DataError
from .affectnet.codes import TRAINING_COUNTS
from .counter_random import Draws, Int64Array
from .face_camera import UInt8Array
from .face_expressions import CLASS_NAMES
from .face_parameters import TEST, TEST_LABELS, TRAIN, TRAIN_LABELS, captures, expressions, identities, persons_of
from .face_renderer import render
from .table import ImageTable

_CHUNK = 64  # images rendered at a time, so that their data fits into a core's cache


@dataclass(frozen=True, kw_only=True)
class RenderedFaces:
    """Parameters of the rendered faces.

    Attributes:
        images: number of training images, at least one per class.
        test_images_per_class: number of test images per class; the test split is balanced.
        imbalance: largest over smallest class size in training; None for AffectNet's proportions (35.8). Other values
            stretch or compress these proportions on the log scale; 1 is balanced.
        overlap: 0 to 1, how far contempt is moved towards neutral and happiness, fear towards surprise, and disgust
            towards anger; it also increases the variation of every expression.
        label_noise: share of training images that show a different expression than their label, in [0, 1). Class
            counts are counts of labels and do not change. The test split has no label noise.
        data_seed: seed of the dataset, independent of the seed of a run.
        size: height and width in pixels.

    Raises:
        DataError: for a parameter outside its range.

    Example:
        >>> RenderedFaces(images=1000, imbalance=10).imbalance
        10
    """

    images: int = 4000
    test_images_per_class: int = 200
    imbalance: float | None = None
    # Chosen with plain softmax only, before any other loss was run: a small SENet reaches a balanced accuracy of 0.69
    # in 12 epochs and 0.89 in 36.
    overlap: float = 0.35
    label_noise: float = 0.05
    data_seed: int = 0
    size: int = 48

    def __post_init__(self) -> None:
        classes = len(CLASS_NAMES)
        _require(self.images >= classes, "images", f"at least {classes}, one per class", self.images)
        _require(self.test_images_per_class >= 1, "test_images_per_class", "at least 1", self.test_images_per_class)
        if self.imbalance is not None:
            _require(1 <= self.imbalance < float("inf"), "imbalance", "at least 1 and finite", self.imbalance)
        _require(0 <= self.overlap <= 1, "overlap", "between 0 and 1", self.overlap)
        _require(0 <= self.label_noise < 1, "label_noise", "at least 0 and below 1", self.label_noise)
        _require(0 <= self.data_seed < 2**63, "data_seed", "at least 0 and below 2**63", self.data_seed)
        _require(16 <= self.size <= 512, "size", "between 16 and 512 pixels", self.size)

    def class_counts(self) -> tuple[int, ...]:
        """Return the training images of each of the 8 classes, at least 1 each; their sum is `images`.

        Example:
            >>> RenderedFaces().class_counts()
            (1041, 1869, 354, 196, 89, 53, 346, 52)
        """
        affectnet = np.array(TRAINING_COUNTS, dtype=np.float64)
        if self.imbalance is None:
            share = affectnet
        else:
            spread = np.log(affectnet / affectnet.min())
            share = np.exp(spread * (np.log(self.imbalance) / spread.max()))
        exact = share / share.sum() * self.images
        counts = np.floor(exact).astype(np.int64)
        largest_remainder = np.argsort(counts - exact, kind="stable")
        counts[largest_remainder[: self.images - int(counts.sum())]] += 1
        while counts.min() < 1:
            counts[counts.argmax()] -= 1
            counts[counts.argmin()] += 1
        return tuple(counts.tolist())


def open_rendered_faces(dials: RenderedFaces) -> tuple[ImageTable, ImageTable]:
    """Return the training and test tables; nothing is rendered before `prepare` or `read`.

    Both tables have targets and persons, and no person is in both. `prepare` renders all rows of its table into one
    (n, size, size, 3) uint8 array; without it, `read` renders a single row, with the same pixels.

    Example:
        >>> train, test = open_rendered_faces(RenderedFaces(images=100, test_images_per_class=2))
        >>> len(train), len(test), train.sample_ids[0], test.read(3).size
        (100, 16, 'train/0', (48, 48))
    """
    counts = dials.class_counts()
    targets = _shuffled(np.repeat(np.arange(len(counts)), counts), dials.data_seed, TRAIN_LABELS)
    balanced = np.repeat(np.arange(len(counts)), dials.test_images_per_class)
    return (
        _table(dials, "train", TRAIN, targets, _depicted(dials, targets)),
        _table(dials, "test", TEST, *[_shuffled(balanced, dials.data_seed, TEST_LABELS)] * 2),
    )


def draw_faces(
    dials: RenderedFaces, split: int, rows: Int64Array, depicted: Int64Array, intensity: float | None = None
) -> UInt8Array:
    """Render rows of a split as (n, size, size, 3) uint8, each with its depicted class (n,)."""
    persons = persons_of(dials.data_seed, split, rows)
    return render(
        expressions(dials.data_seed, split, rows, depicted, overlap=dials.overlap, intensity=intensity),
        identities(dials.data_seed, persons),
        captures(dials.data_seed, split, rows),
        dials.size,
    )


class _Drawn:
    """The images of one split, rendered one by one unless `prepare` has rendered all."""

    def __init__(self, dials: RenderedFaces, split: int, depicted: Int64Array) -> None:
        self._dials, self._split, self._depicted = dials, split, depicted
        self._pixels: UInt8Array | None = None

    def prepare(self) -> None:
        if self._pixels is None:
            rows, size = len(self._depicted), self._dials.size
            pixels = np.empty((rows, size, size, 3), dtype=np.uint8)
            for start in range(0, rows, _CHUNK):
                chunk = np.arange(start, min(start + _CHUNK, rows))
                pixels[chunk] = draw_faces(self._dials, self._split, chunk, self._depicted[chunk])
            self._pixels = pixels

    def read(self, row: int) -> Image.Image:
        if self._pixels is not None:
            return Image.fromarray(self._pixels[row])
        rows = np.arange(len(self._depicted))[[row]]
        return Image.fromarray(draw_faces(self._dials, self._split, rows, self._depicted[rows])[0])


def _table(dials: RenderedFaces, name: str, split: int, targets: Int64Array, depicted: Int64Array) -> ImageTable:
    drawn = _Drawn(dials, split, depicted)
    persons = persons_of(dials.data_seed, split, np.arange(len(targets)))
    return ImageTable(
        name="synthetic",
        class_names=CLASS_NAMES,
        targets=targets,
        sample_ids=[f"{name}/{row}" for row in range(len(targets))],
        read=drawn.read,
        persons=np.array([f"identity-{person}" for person in persons.tolist()]),
        subject="a cropped face",
        prepare=drawn.prepare,
        details=dataclasses.asdict(dials),
    )


def _shuffled(labels: Int64Array, data_seed: int, space: int) -> Int64Array:
    order = np.argsort(Draws(data_seed, space, np.arange(len(labels))).bits(), kind="stable")
    return labels[order]


def _depicted(dials: RenderedFaces, targets: Int64Array) -> Int64Array:
    """Return the (n,) class that each training image shows: its label or, for some images, another class.

    Images are changed instead of labels, so that class counts match the parameters and every label is wrong with the
    same probability; flipped labels would hide the 52 images of contempt among hundreds of others.
    """
    draws = Draws(dials.data_seed, TRAIN_LABELS, np.arange(len(targets)))
    draws.bits()  # the first stream shuffled the labels
    wrong = draws.uniform() < dials.label_noise
    others = np.tile(np.bincount(targets, minlength=len(CLASS_NAMES)), (len(CLASS_NAMES), 1))
    np.fill_diagonal(others, 0)
    ends = np.cumsum(others, axis=1)[targets]
    ball = (draws.uniform() * ends[:, -1]).astype(np.int64)
    drawn = (ball[:, None] >= ends).sum(axis=1)
    return np.where(wrong, drawn, targets)


def _require(holds: bool, dial: str, rule: str, value: object) -> None:
    if not holds:
        raise DataError(f"synthetic: {dial} must be {rule}; it is {value!r}")
