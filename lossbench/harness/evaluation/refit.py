"""What the embeddings know, whatever the classifier made of it: a balanced linear classifier fitted on them, frozen.

Its balanced accuracy, beside the model's own, says whether a loss has taught the backbone something or only moved the
thresholds between classes (the classifier re-training of Kang et al., ICLR 2020, in closed terms).
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
MOST_CLASSES = 100  # beyond these the fit takes longer than many a run
_ITERATIONS = 300


class Refit(NamedTuple):
    """Attributes:
    scores: (N, C) float32, of the images judged.
    images: how many training images it was fitted on.
    converged: whether the fit ended by itself.
    seconds: what the fit took.
    """

    scores: npt.NDArray[np.float32]
    images: int
    converged: bool
    seconds: float

    def facts(self) -> RefitFacts:
        """Return what a record holds of the fit."""
        return RefitFacts(images=self.images, converged=self.converged, seconds=self.seconds)


def refit_rows(targets: Int64Array, seed: int, most: int = MOST_IMAGES) -> Int64Array:
    """At most so many rows, sorted: small classes whole, of the large ones equally many.

    Args:
        targets: (N,).
        seed: of the draw.
        most: rows.

    Example:
        >>> rows = refit_rows(np.repeat([0, 1, 2], [5, 50, 500]), seed=0, most=45)
        >>> np.bincount(np.repeat([0, 1, 2], [5, 50, 500])[rows]).tolist()
        [5, 20, 20]
    """
    counts = np.bincount(targets)
    low, high = 0, int(counts.max())
    while low < high:  # the largest quota a class that keeps within the budget
        quota = (low + high + 1) // 2
        low, high = (quota, high) if np.minimum(counts, quota).sum() <= most else (low, quota - 1)
    order = np.random.default_rng(seed).permutation(len(targets))
    kept = [order[targets[order] == c][:low] for c in range(len(counts))]
    return np.sort(np.concatenate(kept)).astype(np.int64)


def refit(
    embeddings: npt.NDArray[Any], targets: Int64Array, judged: npt.NDArray[Any], num_classes: int
) -> Refit | None:
    """Fits scikit-learn's logistic regression, classes weighted alike, on standardised embeddings.

    None where there is nothing to fit: more than 100 classes, a class without a row, or embeddings not finite.

    Args:
        embeddings: (M, D) of training images.
        targets: (M,).
        judged: (N, D), of the images to score.
        num_classes: C.
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
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged`
        model.fit(embeddings.astype(np.float32), targets)
    scores = model.decision_function(judged.astype(np.float32))
    if scores.ndim == 1:  # of two classes it gives the second one's margin
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    converged = bool(np.max(model[-1].n_iter_) < _ITERATIONS)
    return Refit(scores.astype(np.float32), len(targets), converged, time.perf_counter() - began)
