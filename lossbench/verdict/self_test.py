"""Is the verdict itself to be trusted? Comparisons simulated from images up, judged as real ones are.

A/A: all entrants are the same loss, and every difference found is a false alarm. Planted: one entrant is better by a
known amount. Each simulated run has its own quality (over seeds) and classifies the same test images, each of its own
difficulty, correctly or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from .statistics import ALPHA, holm, paired_t, smallest_difference

COMPARISONS = 2_000
PLANTED = (0.01, 0.02, 0.03, 0.05, 0.08)
_CHUNK = 100  # comparisons simulated at a time
_DIFFICULTY = 0.5  # share of the variance of an outcome that is the image's own: some are easy, some hopeless


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is simulated.

    Attributes:
        entrants: losses.
        seeds: runs of each.
        classes: of the test split.
        images: test images a class.
        accuracy: mean recall.
        seed_sd: standard deviation of a run's true balanced accuracy over seeds.
        heavy_tails: whether runs fail badly now and then (Student's t with 3 degrees of freedom, of the same spread).
    """

    entrants: int = 5
    seeds: int = 5
    classes: int = 8
    images: int = 200
    accuracy: float = 0.7
    seed_sd: float = 0.015
    heavy_tails: bool = False


class Rate(NamedTuple):
    """A share of simulated comparisons, with its exact 95 % interval."""

    hits: int
    comparisons: int

    @property
    def value(self) -> float:
        return self.hits / self.comparisons

    @property
    def interval(self) -> tuple[float, float]:
        found = stats.binomtest(self.hits, self.comparisons).proportion_ci(method="exact")
        return float(found.low), float(found.high)


def false_alarms(setting: Setting, comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """How often an A/A comparison calls at least one pair different.

    Args:
        setting: what is simulated.
        comparisons: how many.
        seed: of the simulation.
    """
    return Rate(int(_verdicts(setting, 0.0, comparisons, seed).any(axis=1).sum()), comparisons)


def found(setting: Setting, planted: float, comparisons: int = COMPARISONS, seed: int = 0) -> Rate:
    """How often a comparison calls the better of two entrants different from a given other one.

    Args:
        setting: what is simulated.
        planted: by how much the last entrant is better, in balanced accuracy.
        comparisons: how many.
        seed: of the simulation.
    """
    pair = list(combinations(range(setting.entrants), 2)).index((0, setting.entrants - 1))
    return Rate(int(_verdicts(setting, planted, comparisons, seed)[:, pair].sum()), comparisons)


def expected_smallest(setting: Setting) -> float:
    """The difference that the verdict would name as the smallest it can show in such a setting."""
    pairs = setting.entrants * (setting.entrants - 1) // 2
    of_images = _chance_variance(setting) / (setting.images * setting.classes)
    sd = (2 * (setting.seed_sd**2 + of_images)) ** 0.5
    return smallest_difference(sd, setting.seeds, ALPHA / pairs)


def _chance_variance(setting: Setting) -> float:
    """Mean over images of p (1 - p), where p is the probability that a run classifies the image correctly."""
    return setting.accuracy * (1 - setting.accuracy) * (1 - _DIFFICULTY)


def _verdicts(setting: Setting, planted: float, comparisons: int, seed: int) -> npt.NDArray[np.bool_]:
    """(comparisons, pairs): which pairs the rules of the verdict call different."""
    generator = np.random.default_rng(seed)
    pairs = list(combinations(range(setting.entrants), 2))
    judged = []
    for start in range(0, comparisons, _CHUNK):
        scores = _scores(setting, planted, min(_CHUNK, comparisons - start), generator)
        differences = np.stack([scores[:, b] - scores[:, a] for a, b in pairs], axis=1)
        judged.append(holm(paired_t(differences).p) < ALPHA)
    return np.concatenate(judged)


def _scores(
    setting: Setting, planted: float, comparisons: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(comparisons, entrants, seeds) balanced accuracies. Test images are shared within a comparison."""
    runs = (comparisons, setting.entrants, setting.seeds)
    spread = generator.standard_t(3, runs) / 3**0.5 if setting.heavy_tails else generator.standard_normal(runs)
    quality = setting.seed_sd * spread
    quality[:, -1] += planted
    scale = 1 / _DIFFICULTY - 1  # of a beta distribution with that share of the variance
    ease = generator.beta(
        scale * setting.accuracy, scale * (1 - setting.accuracy), (comparisons, setting.classes * setting.images)
    )
    movable = ease * (1 - ease) / _chance_variance(setting)  # of mean 1: a better run gains where there is doubt
    total = np.empty(runs)
    for entrant in range(setting.entrants):
        for run in range(setting.seeds):
            chance = np.clip(ease + quality[:, entrant, run, None] * movable, 0, 1).astype(np.float32)
            total[:, entrant, run] = (generator.random(chance.shape, dtype=np.float32) < chance).mean(axis=1)
    return total
