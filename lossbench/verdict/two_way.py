"""The error of a difference between two losses over new seeds and new test images.

All runs of a comparison classify the same test images, so seeds and images are crossed, as readers and cases are in
multi-reader multi-case studies (Dorfman, Berbaum and Metz 1992; Hillis 2007). For one pair of losses, let D[s, i] be
the difference of their values for seed s and test image i (for accuracy: 1, 0 or -1), with S seeds, n_c images in
class c, and class weights w_c that sum to 1 (balanced accuracy: all equal). The mean difference is
sum_c w_c mean_{s, i in c} D[s, i]. Three variances of that mean are estimated:

    V_seeds        var_s(sum_c w_c m[s, c]) / S                                  m[s, c]: mean of D over the class
    V_images       sum_c w_c^2 var_{i in c}(x[i]) / n_c                          x[i]: mean of D over the seeds
    V_interaction  sum_c w_c^2 (interaction mean square of class c) / (S n_c)    part of both others

Images add K = max(V_images - V_interaction, 0) to what the seeds show, and V_seeds cannot truly lie below
V_interaction, which many images estimate well. The interval at level alpha is mean +- c with

    v   = max(V_seeds, f V_interaction)                        f = 1 + min(1, (4 / (S - 1))^2)
    V   = v + K,  r = v / V
    c^2 = V (q_i^2 + r^e (q_s^2 - q_i^2))                      e = 1 + min(1.5 min(1, V_interaction / K), (S - 1) / 2)

q_i is Student's quantile with the degrees of freedom of the images (Satterthwaite over classes), q_s that with
(S - 1) (1 + min(1, 4 / (S - 1)) (V_interaction / v)^1.5): a spread over seeds that is mostly image noise is known
better than S - 1 degrees of freedom say. Satterthwaite's single number of degrees of freedom is too optimistic with few
seeds where images lend many; the constants f, e and 1.5 were chosen by simulation, and
`benchmarks/verdict_calibration.py` prints what they reach. Without variance nothing is claimed (p = 1).

A class with one test image has no variance of its own and is given the pooled one of the other classes; `borrowed`
counts such classes, and the verdict names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

_SMALLEST_P = 1e-12
_STEPS = 60
_POWER_QUANTILE = 0.8416  # of the normal distribution at 80 %


@dataclass(frozen=True)
class TwoWay:
    """Differences between pairs of losses with their variances; every array has the leading axes and one per pair.

    Attributes:
        mean: mean difference, as a share.
        v_seeds: variance of that mean over seeds, on these images.
        v_images: variance of that mean over images, with these seeds.
        v_interaction: the part that both contain.
        image_df: degrees of freedom of `v_images`.
        seeds: number of seeds.
        borrowed: number of classes with one test image, whose variance is the pooled one of the other classes.
    """

    mean: FloatArray
    v_seeds: FloatArray
    v_images: FloatArray
    v_interaction: FloatArray
    image_df: FloatArray
    seeds: int
    borrowed: int = 0

    @property
    def of_seeds(self) -> FloatArray:
        """Share of the variance that more seeds would lower, between 0 and 1; NaN where there is no variance."""
        with np.errstate(invalid="ignore"):
            own = np.maximum(self.v_seeds, self.v_interaction)
            return np.asarray(own / (own + self._of_images))

    @property
    def _of_images(self) -> FloatArray:
        return np.maximum(self.v_images - self.v_interaction, 0.0)

    @property
    def variance(self) -> FloatArray:
        """Variance of the mean over new seeds and new images."""
        return np.maximum(self.v_seeds, self._floor * self.v_interaction) + self._of_images

    @property
    def _floor(self) -> float:
        return 1 + min(1.0, (4 / (self.seeds - 1)) ** 2)

    def one(self, number: int) -> TwoWay:
        """Return one pair's error."""
        arrays = ("mean", "v_seeds", "v_images", "v_interaction", "image_df")
        return replace(self, **{name: getattr(self, name)[..., number] for name in arrays})

    def as_family(self) -> TwoWay:
        """Return errors of one pair per comparison as families of one."""
        arrays = ("mean", "v_seeds", "v_images", "v_interaction", "image_df")
        return replace(self, **{name: getattr(self, name)[..., None] for name in arrays})

    def half_width(self, alpha: npt.ArrayLike) -> FloatArray:
        """Half of the interval that covers the true difference with probability 1 - alpha; infinite without variance.

        Args:
            alpha: between 0 and 1; a number, or an array of the shape of `mean`.
        """
        free, noise, images = self.seeds - 1, self.v_interaction, self._of_images
        own = np.maximum(self.v_seeds, self._floor * noise)
        with np.errstate(divide="ignore", invalid="ignore"):
            known = np.where(own > 0, noise / own, 0.0)
            seeds_df = free * (1 + min(1.0, 4 / free) * known**1.5)
            exponent = 1 + np.minimum(1.5 * np.minimum(1.0, np.where(images > 0, noise / images, 1.0)), free / 2)
            share = np.where(own + images > 0, own / (own + images), 1.0)
        tail = np.asarray(alpha, dtype=np.float64) / 2
        by_seeds = special.stdtrit(seeds_df, tail) ** 2
        by_images = special.stdtrit(np.maximum(self.image_df, 1.0), tail) ** 2
        squared = (own + images) * (by_images + share**exponent * (by_seeds - by_images))
        return np.asarray(np.where(own + images > 0, np.sqrt(np.maximum(squared, 0.0)), np.inf))

    def smallest(self, alpha: float) -> FloatArray:
        """Return the true difference that a test at level alpha detects with 80 % power; infinite without variance.

        By a normal approximation of the noncentral t distribution with the degrees of freedom of the whole error.
        """
        error = np.sqrt(self.variance)
        with np.errstate(invalid="ignore"):
            quantile = self.half_width(alpha) / error
        df = (self.seeds - 1) / np.maximum(np.nan_to_num(self.of_seeds, nan=1.0), 1e-6) ** 2
        shift = quantile * (1 - 1 / (4 * df)) + _POWER_QUANTILE * np.sqrt(1 + quantile**2 / (2 * df))
        return np.asarray(np.where(error > 0, error * np.where(np.isfinite(shift), shift, 0.0), np.inf))

    def p_value(self) -> FloatArray:
        """Two-sided p-value of no true difference: the smallest alpha whose interval excludes 0; 1 without variance."""
        distance = np.abs(self.mean)
        low = np.full(distance.shape, np.log(_SMALLEST_P))
        high = np.zeros(distance.shape)
        for _ in range(_STEPS):  # the half width falls as alpha grows
            middle = (low + high) / 2
            inside = distance <= self.half_width(np.exp(middle))
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return np.asarray(np.where((distance > 0) & (self.variance > 0), np.exp(high), 1.0))


def two_way(
    values: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    pairs: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
) -> TwoWay:
    """Compute the differences between pairs of losses and their variances.

    Memory grows with the number of values and of pairs, not with their product.

    Args:
        values: (..., L, S, N) value of each loss and seed on each test image, such as 1.0 where it is right; S >= 2.
        targets: (N,) classes; every class has the same weight unless `weights` are given.
        pairs: (P, 2) numbers of losses; a difference is the first minus the second.
        weights: (C,) weight of each class that has images, in the order of the class numbers, summing to 1.
        scores: (..., L, S) score of each run; the weighted mean of `values` by default. Pass it where values are a
            linear approximation of the score.

    Example:
        >>> right = np.array([[[1, 1, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]], [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]]])
        >>> found = two_way(right.astype(float), np.array([0, 0, 1, 1]), [(0, 1)])
        >>> found.mean.round(3).tolist(), found.p_value().round(3).tolist()
        ([0.5], [0.191])
    """
    first, second = np.asarray(pairs, dtype=np.intp).reshape(-1, 2).T
    classes, place, counts = np.unique(targets, return_inverse=True, return_counts=True)
    weight = np.full(len(classes), 1 / len(classes)) if weights is None else np.asarray(weights, dtype=np.float64)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(counts)
    lead, seeds = values.shape[:-3], values.shape[-2]
    shape = (*lead, len(first))
    images, noise, squared = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    pooled, pooled_noise, single = np.zeros(shape), np.zeros(shape), 0.0
    by_run = np.zeros(values.shape[:-1])
    for number, (end, count) in enumerate(zip(ends, counts, strict=True)):
        own = values[..., order[end - count : end]]
        recall = own.mean(axis=-1, dtype=np.float64)  # (..., L, S)
        by_run += weight[number] * recall
        if count == 1:
            single += weight[number] ** 2
            continue
        of_images, of_noise = _sums_of_squares(own, recall, first, second)
        pooled += of_images
        pooled_noise += of_noise
        part = weight[number] ** 2 * of_images / (count - 1) / count
        images += part
        squared += part**2 / (count - 1)
        noise += weight[number] ** 2 * of_noise / ((count - 1) * (seeds - 1)) / (seeds * count)
    free = int((counts - 1).sum())
    if single and free:
        images += single * pooled / free
        squared += (single * pooled / free) ** 2 / free
        noise += single * pooled_noise / (free * (seeds - 1)) / seeds
    given = by_run if scores is None else np.asarray(scores, dtype=np.float64)
    differences = given[..., first, :] - given[..., second, :]  # (..., P, S)
    return TwoWay(
        mean=differences.mean(axis=-1),
        v_seeds=differences.var(axis=-1, ddof=1) / seeds,
        v_images=images,
        v_interaction=noise,
        image_df=np.divide(images**2, squared, out=np.ones(shape), where=squared > 0),
        seeds=seeds,
        borrowed=int((counts == 1).sum()),
    )


def _sums_of_squares(
    values: npt.NDArray[np.floating], means: FloatArray, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Sums of squares of each pair over the images of a class and of their interaction with the seeds.

    Everything follows from products of two losses' values, so no array of pairs by images is formed.

    Args:
        values: (..., L, S, n) of one class.
        means: (..., L, S) over the class.
        first, second: (P,) the losses of each pair.
    """
    seeds, count = values.shape[-2:]
    rounding = 8 * count * np.finfo(values.dtype).eps
    centered = values - means[..., None].astype(values.dtype)

    def squares(products: npt.NDArray[np.floating]) -> FloatArray:
        """(..., P) squared norm of each pair's difference from the products (..., L, L) of all losses."""
        diagonal = np.diagonal(products, axis1=-2, axis2=-1)
        found = diagonal[..., first] + diagonal[..., second] - 2 * products[..., first, second]
        return np.where(found > rounding, found, 0.0).astype(np.float64)

    over_seeds = centered.mean(axis=-2)  # (..., L, n)
    of_images = squares(over_seeds @ np.swapaxes(over_seeds, -1, -2))
    by_seed = np.moveaxis(centered, -2, -3)  # (..., S, L, n)
    total = squares((by_seed @ np.swapaxes(by_seed, -1, -2)).sum(axis=-3))
    rest = total - seeds * of_images
    return of_images, np.where(rest > seeds * rounding, rest, 0.0)
