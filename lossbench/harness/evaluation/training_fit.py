"""How well a trained model fits its own training images: a model that does not is not trained to the end."""

from __future__ import annotations

import numpy as np

from ...runs.predictions import SplitPredictions
from ...runs.record import TrainingFit


def training_fit(seen: SplitPredictions) -> TrainingFit:
    """Return balanced accuracy and class-balanced cross-entropy of predictions for training images.

    Example:
        >>> seen = SplitPredictions(scores=np.array([[9.0, 0.0], [9.0, 0.0]]), targets=np.array([0, 1]))
        >>> training_fit(seen).balanced_accuracy
        0.5
    """

    from scipy.special import logsumexp  # here, because it is slow to import

    scores, targets = seen.scores.astype(np.float64), seen.targets
    counts = np.bincount(targets)
    present = counts > 0
    right = np.bincount(targets, weights=scores.argmax(axis=1) == targets)
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(targets)), targets]
    total = np.bincount(targets, weights=losses)
    return TrainingFit(
        images=len(targets),
        balanced_accuracy=float((right[present] / counts[present]).mean()),
        cross_entropy=max(float((total[present] / counts[present]).mean()), 0.0),
    )
