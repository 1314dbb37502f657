"""Which prior do scores carry? Measured on held-out images of every class, never assumed from the objective.

Plain softmax trained on n_c images of class c gives scores that carry log n_c once. Class weights and balanced samplers
take some or all of that away, until the network interpolates its training data and the effect of weights is gone (Byrd
and Lipton, ICML 2019); so the power tau of the training prior is fitted per run: scores / T - tau / T log n_c should
predict held-out images best if all classes count alike. The temperature T matters because scores may be too confident.
One smooth likelihood replaces the argmax of a plateau of accuracies. With few images tau is drawn to `_USUAL`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import logsumexp

Array = npt.NDArray[Any]

_USUAL, _SPREAD = 0.7, 0.6  # of tau, over losses and data sets
_TEMPERATURE_SPREAD = 1.0  # of log T
_MOST_IMAGES = 200  # per class
_MOST_SCORES = 4_000_000  # of all classes, if they have more than one image each


def carried_prior(scores: Array, targets: Array, counts: npt.ArrayLike) -> float | None:
    """Return the power of the training prior that scores carry; None if the images cannot tell.

    Args:
        scores: (N, C) scores of held-out images, log-probabilities up to a constant per row.
        targets: (N,) classes; every class must have an image.
        counts: (C,) training images of each class.

    Example:
        >>> counts, targets = np.array([900.0, 90.0, 10.0]), np.repeat(np.arange(3), 40)
        >>> x = 2 * np.eye(3)[targets] + np.random.default_rng(0).standard_normal((120, 3))
        >>> [round(carried_prior(2 * x + tau * np.log(counts), targets, counts), 1) for tau in (0.5, 1)]
        [0.5, 1.0]
    """
    images = np.asarray(counts, dtype=np.float64)
    classes = scores.shape[1]
    held = np.bincount(targets, minlength=classes)
    if held.min() < 1 or images.min() <= 0 or np.ptp(images) == 0:
        return None
    rows = _first_of_each(targets)
    kept, own = np.asarray(scores, dtype=np.float64)[rows], targets[rows]
    kept = kept - kept.max(axis=1, keepdims=True)
    prior = np.log(images / images.sum())
    prior -= prior.mean()
    per_class = np.bincount(own, minlength=classes)
    weight = classes / (1 / per_class).sum() / per_class[own]  # classes count alike; the sum is an effective number
    place = np.arange(len(own))

    def cost(values: Array) -> tuple[float, Array]:
        tau, sharp = values[0], np.exp(values[1])
        logits = sharp * (kept - tau * prior)
        likely = logits - logsumexp(logits, axis=1, keepdims=True)
        probability = np.exp(likely)
        by_tau = -sharp * (prior[own] - probability @ prior)
        by_sharp = logits[place, own] - (probability * logits).sum(axis=1)
        usual = (tau - _USUAL) / _SPREAD, values[1] / _TEMPERATURE_SPREAD
        total = -(weight * likely[place, own]).sum() + (usual[0] ** 2 + usual[1] ** 2) / 2
        slope = np.array([usual[0] / _SPREAD, usual[1] / _TEMPERATURE_SPREAD])
        return float(total), slope - [(weight * by_tau).sum(), (weight * by_sharp).sum()]

    found = optimize.minimize(cost, np.array([_USUAL, 0.0]), jac=True, method="L-BFGS-B", bounds=[(-2, 5), (-5, 5)])
    return float(found.x[0])


def _first_of_each(targets: Array) -> Array:
    """Return the rows of at most `_MOST_IMAGES` images of each class, fewer with many classes."""
    order = np.argsort(targets, kind="stable")
    counts = np.bincount(targets)
    within = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = min(_MOST_IMAGES, max(1, _MOST_SCORES // len(counts) ** 2))
    return np.sort(order[within < most])
