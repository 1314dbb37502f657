"""The interval of one loss's score for new seeds and new test images of the same classes.

A class with one or two test images has little or no variance of its own, so resampling its images says nothing. The
interval is Wilson's with an effective number of images, as Korn and Graubard (1998) do for stratified samples: as many
as give the variance

    sum_c w_c^2 d p_c (1 - p_c) / n_c  +  what the seeds spread beyond the chance of their images

where w_c is the weight of class c, n_c its images, and p_c its mean recall over the seeds, moved towards the mean of
all classes by one image. The design effect d is the share of an image's variance that is left after averaging over the
seeds, 1 with one seed. Few seeds and few images are paid for by Student's quantile with Satterthwaite's degrees of
freedom: S - 1 of the seeds and n_c + 4 of each class, as if four images had been added (Agresti and Coull 1998).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[Any]

_PSEUDO_IMAGES = 4


def score_interval(
    values: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    *,
    weights: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> tuple[float, float]:
    """Return the 1 - alpha interval of the weighted mean of class means.

    Args:
        values: (S, N) of each seed and test image, 1 where it is right and 0 where it is wrong.
        targets: (N,) classes.
        weights: (C,) weight of each class that has images, summing to 1; equal by default.
        alpha: share of intervals that may miss.

    Example:
        >>> low, high = score_interval(np.array([[1.0]]), np.array([0]))
        >>> round(low, 2), high
        (0.13, 1.0)
    """
    values = np.asarray(values, dtype=np.float64)
    _, place, counts = np.unique(targets, return_inverse=True, return_counts=True)
    classes = len(counts)
    weight = np.full(classes, 1 / classes) if weights is None else np.asarray(weights, dtype=np.float64)
    recalls = np.stack([np.bincount(place, weights=row, minlength=classes) / counts for row in values])  # (S, C)
    recall = recalls.mean(axis=0)
    squares = np.bincount(place, weights=(values.mean(axis=0) - recall[place]) ** 2, minlength=classes)
    smooth = (recall * counts + (recall.sum() + 0.5) / (classes + 1)) / (counts + 1)
    effect = _design_effect(values.mean(axis=0), squares, counts, recall, len(values))
    by_class = weight**2 * smooth * (1 - smooth) * effect / counts
    of_images = float(by_class.sum())
    of_seeds = _seed_variance(values, place, counts, recalls, squares, weight)
    mean, center = float(np.clip(recall @ weight, 0.0, 1.0)), float(smooth @ weight)
    normal = float(special.ndtri(1 - alpha / 2))
    unsure = float((by_class**2 / (counts + _PSEUDO_IMAGES)).sum()) + of_seeds**2 / max(len(values) - 1, 1)
    quantile = float(special.stdtrit((of_images + of_seeds) ** 2 / unsure, 1 - alpha / 2))
    images = center * (1 - center) / (of_images + of_seeds) * (normal / quantile) ** 2
    return _wilson(mean, images, normal)


def _design_effect(over_seeds: Array, squares: Array, counts: Array, recall: Array, seeds: int) -> float:
    """Return the design effect pooled over classes, with half an image at 1 so that it is defined without variance.

    Sums of squares around a class's own mean are n - 1 parts of n of the images' variance, and as much is missing from
    n p (1 - p). If every class has one image, all images are taken as one class.
    """
    if seeds == 1:
        return 1.0
    several = counts > 1
    n, spread, share = counts[several], squares[several], recall[several]
    if not several.any() and len(counts) > 1:
        n, share = np.array([len(counts)]), np.array([over_seeds.mean()])
        spread = np.array([((over_seeds - share) ** 2).sum()])
    of_images = float((spread * n / (n - 1)).sum())
    chance = float((n * share * (1 - share) + spread / (n - 1)).sum())
    return float(np.clip((of_images + 0.5) / (chance + 0.5), 1 / seeds, 1.0))


def _seed_variance(values: Array, place: Array, counts: Array, recalls: Array, squares: Array, weight: Array) -> float:
    """Return the variance of the mean over seeds beyond what the chance of these images gives."""
    seeds = len(values)
    if seeds == 1:
        return 0.0
    within = np.zeros(len(counts))
    for row, own in zip(values, recalls, strict=True):
        within += np.bincount(place, weights=(row - own[place]) ** 2, minlength=len(counts))
    noise = np.maximum(within - seeds * squares, 0.0) / ((seeds - 1) * np.maximum(counts - 1, 1))
    of_chance = float((weight**2 * noise / (seeds * counts)).sum())
    return max(float((recalls @ weight).var(ddof=1)) / seeds - of_chance, 0.0)


def _wilson(share: float, images: float, normal: float) -> tuple[float, float]:
    """Return Wilson's interval of a share of a number of images that need not be whole."""
    spread = normal**2 / images
    center = (share + spread / 2) / (1 + spread)
    half = normal / (1 + spread) * (share * (1 - share) / images + spread / (4 * images)) ** 0.5
    low = 0.0 if share == 0 else max(center - half, 0.0)
    return low, 1.0 if share == 1 else min(center + half, 1.0)
