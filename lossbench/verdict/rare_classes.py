"""The rare classes: recall, calibration and the geometry of embeddings, class by class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import softmax

Array = npt.NDArray[Any]

BINS = 10
_BLOCK = 500_000  # scores at a time, so that memory does not grow with images and classes


class Reliability(NamedTuple):
    """Confidence and accuracy of predictions, in bins of confidence.

    Attributes:
        confidence: (B,) mean probability of the predicted class in each bin that holds images.
        accuracy: (B,) share of them that is right.
        images: (B,).
    """

    confidence: Array
    accuracy: Array
    images: Array


def reliability(runs: Iterable[tuple[Array, Array]], bins: int = BINS) -> Reliability:
    """Return how often predictions of a confidence are right, in bins of equal width.

    Args:
        runs: (N, C) scores, whose softmax is the probability, and (N,) targets of each run; one run is held at a time.
        bins: between 0 and 1.
    """
    stated, right = np.zeros(bins), np.zeros(bins)
    images = np.zeros(bins, dtype=np.int64)
    for scores, targets in runs:
        probability = softmax(scores, axis=1)
        confidence = probability.max(axis=1).astype(np.float64)
        number = np.minimum((confidence * bins).astype(int), bins - 1)
        images += np.bincount(number, minlength=bins)
        stated += np.bincount(number, weights=confidence, minlength=bins)
        right += np.bincount(number, weights=probability.argmax(axis=1) == targets, minlength=bins)
    held = images > 0
    return Reliability(stated[held] / images[held], right[held] / images[held], images[held])


class Calibration(NamedTuple):
    """How far stated probabilities lie from observed shares.

    Attributes:
        error: (C,) classwise calibration error.
        null: (C,) error that a calibrated model with the same probabilities and as many images shows on average.
    """

    error: npt.NDArray[np.float64]
    null: npt.NDArray[np.float64]


def classwise_calibration(scores: Array, targets: Array, bins: int = BINS, draws: int = 10) -> Calibration:
    """Return the classwise calibration error over all images (Kull et al., NeurIPS 2019) and its null value.

    For each class: how far its stated probability lies from the share of images that are of the class, in bins of that
    probability, weighted by their images. The null value draws labels from the model's own probabilities; an error near
    it shows nothing. The class shares are those of the images given.

    Args:
        scores: (N, C); their softmax is the probability.
        targets: (N,).
        bins: between 0 and 1.
        draws: of labels.

    Example:
        >>> sure_and_wrong = np.array([[9.0, 0.0], [9.0, 0.0]])
        >>> classwise_calibration(sure_and_wrong, np.array([0, 1])).error.round(2).tolist()
        [0.5, 0.5]
    """
    images, classes = scores.shape
    stated = np.zeros(bins * classes)
    held = np.zeros((1 + draws, bins * classes))  # of the targets, then of labels drawn
    generator = np.random.default_rng(0)
    size = max(1, _BLOCK // classes)
    for start in range(0, images, size):
        probability = softmax(scores[start : start + size].astype(np.float64), axis=1)
        rows = np.arange(len(probability))
        number = np.minimum((probability * bins).astype(np.int64), bins - 1) + bins * np.arange(classes)
        stated += np.bincount(number.ravel(), weights=probability.ravel(), minlength=bins * classes)
        steps = probability.cumsum(axis=1)[:, :-1]
        drawn = [(steps < generator.random((len(rows), 1))).sum(axis=1) for _ in range(draws)]
        for place, labels in enumerate((targets[start : start + size], *drawn)):
            held[place] += np.bincount(number[rows, labels], minlength=bins * classes)
    error, *null = np.abs(stated - held).reshape(-1, classes, bins).sum(axis=2) / images
    return Calibration(error, np.mean(null, axis=0))


class Geometry(NamedTuple):
    """The geometry of embeddings by class.

    Attributes:
        scatter: (C,) root mean squared distance of the embeddings of a class to their mean, over `spacing`; NaN without
            images.
        spacing: mean distance between class means, in the embedding's own units.
        nearest: (C,) distance to the nearest other class mean, over `spacing`.
    """

    scatter: npt.NDArray[np.float64]
    spacing: float
    nearest: npt.NDArray[np.float64]


def geometry(embeddings: Array, targets: Array, classes: int) -> Geometry | None:
    """How tight classes are against how far apart they lie; None with fewer than two classes, or none that is apart.

    Args:
        embeddings: (N, D).
        targets: (N,).
        classes: C.

    Example:
        >>> x = np.array([[0.0], [2.0], [10.0], [12.0]])
        >>> found = geometry(x, np.array([0, 0, 1, 1]), 2)
        >>> found.scatter.tolist(), found.spacing, found.nearest.tolist()
        ([0.1, 0.1], 10.0, [1.0, 1.0])
    """
    x = embeddings.astype(np.float64)
    counts = np.bincount(targets, minlength=classes)
    present = np.flatnonzero(counts)
    if len(present) < 2 or not np.isfinite(x).all():
        return None
    sums = np.zeros((classes, x.shape[1]))
    np.add.at(sums, targets, x)
    means = sums[present] / counts[present, None]
    place = np.searchsorted(present, targets)
    squared = np.bincount(place, weights=((x - means[place]) ** 2).sum(axis=1)) / counts[present]
    distances = cdist(means, means)
    between = distances[~np.eye(len(present), dtype=bool)]
    spacing = float(between.mean())
    if not spacing:
        return None
    np.fill_diagonal(distances, np.inf)
    scatter, nearest = np.full(classes, np.nan), np.full(classes, np.nan)
    scatter[present], nearest[present] = np.sqrt(squared) / spacing, distances.min(axis=1) / spacing
    return Geometry(scatter, spacing, nearest)
