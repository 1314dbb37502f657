"""How well a trained model fits its own training images: a model that does not is not trained to the end."""

from __future__ import annotations

import numpy as np

from ...runs.predictions import SplitPredictions
from ...runs.record import TrainingFit

_BLOCK = 2**22  # scores in float64 at a time


def training_fit(seen: SplitPredictions) -> TrainingFit:
    """Return balanced accuracy and class-balanced cross-entropy of predictions for training images.

    Example:
        >>> seen = SplitPredictions(scores=np.array([[9.0, 0.0], [9.0, 0.0]]), targets=np.array([0, 1]))
        >>> training_fit(seen).balanced_accuracy
        0.5
    """

    from scipy.special import logsumexp  # here, because it is slow to import

    scores, targets = seen.scores, seen.targets
    counts = np.bincount(targets)
    present = counts > 0
    right = np.bincount(targets, weights=scores.argmax(axis=1) == targets)
    losses = np.empty(len(targets))
    rows = max(1, _BLOCK // scores.shape[1])
    for start in range(0, len(targets), rows):
        block, own = scores[start : start + rows].astype(np.float64), targets[start : start + rows]
        losses[start : start + rows] = logsumexp(block, axis=1) - block[np.arange(len(own)), own]
    total = np.bincount(targets, weights=losses)
    return TrainingFit(
        images=len(targets),
        balanced_accuracy=float((right[present] / counts[present]).mean()),
        cross_entropy=max(float((total[present] / counts[present]).mean()), 0.0),
    )
