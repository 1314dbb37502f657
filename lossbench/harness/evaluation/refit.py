"""Fit a balanced linear classifier on frozen embeddings.

Comparing its balanced accuracy with the model's own shows whether a loss has improved the representation or only moved
the thresholds between classes (the classifier re-training of Kang et al., ICLR 2020).
"""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...data.table import Int64Array
from ...runs.record import RefitFacts

MOST_IMAGES = 20_000
MOST_SCORES = 2**26  # of these images, 256 MB: with 50,000 classes, 1,342 images are predicted
MOST_CLASSES = 100  # with more, the fit takes longer than many runs
_ITERATIONS = 300


class Refit(NamedTuple):
    """The result of a refit.

    Attributes:
        scores: (N, C) float32 scores of the evaluated images.
        images: number of training images for the fit.
        converged: whether the fit converged.
        seconds: duration of the fit.
    """

    scores: npt.NDArray[np.float32]
    images: int
    converged: bool
    seconds: float

    def facts(self) -> RefitFacts:
        """Return what a record holds of the fit."""
        return RefitFacts(images=self.images, converged=self.converged, seconds=self.seconds)


def refit_rows(targets: Int64Array, seed: int, most: int = MOST_IMAGES) -> Int64Array:
    """Return at most `most` rows, sorted: all rows of small classes, and equally many of each large class.

    With more classes than `most`, one row each of some of them.

    Args:
        targets: (N,) targets.
        seed: seed of the draw.
        most: maximum number of rows.

    Example:
        >>> rows = refit_rows(np.repeat([0, 1, 2], [5, 50, 500]), seed=0, most=45)
        >>> np.bincount(np.repeat([0, 1, 2], [5, 50, 500])[rows]).tolist()
        [5, 20, 20]
    """
    counts = np.bincount(targets)
    low, high = 0, int(counts.max())
    while low < high:  # the largest quota per class within the budget
        quota = (low + high + 1) // 2
        low, high = (quota, high) if np.minimum(counts, quota).sum() <= most else (low, quota - 1)
    order = np.random.default_rng(seed).permutation(len(targets))
    by_class = order[np.argsort(targets[order], kind="stable")]
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # position within the class
    kept = by_class[within < max(low, 1)]
    return np.sort(kept if low else np.random.default_rng(seed).permutation(kept)[:most]).astype(np.int64)


def refit(
    embeddings: npt.NDArray[Any], targets: Int64Array, judged: npt.NDArray[Any], num_classes: int
) -> Refit | None:
    """Fit scikit-learn's logistic regression with balanced class weights on standardized embeddings.

    Returns None with more than 100 classes, for a class without rows, or for non-finite embeddings.

    Args:
        embeddings: (M, D) embeddings of training images.
        targets: (M,) targets.
        judged: (N, D) embeddings of the images to score.
        num_classes: number of classes C.
    """
    finite = np.isfinite(embeddings).all() and np.isfinite(judged).all()
    if num_classes > MOST_CLASSES or not finite or len(np.unique(targets)) < num_classes:
        return None
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    began = time.perf_counter()
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported by `converged`
        model.fit(embeddings.astype(np.float32), targets)
    scores = model.decision_function(judged.astype(np.float32))
    if scores.ndim == 1:  # for two classes it returns the margin of the second one
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    converged = bool(np.max(model[-1].n_iter_) < _ITERATIONS)
    return Refit(scores.astype(np.float32), len(targets), converged, time.perf_counter() - began)
