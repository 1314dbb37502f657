"""Comparisons simulated from images up: each run's correct answers follow from image, loss, seed and chance.

The latent score of a run on an image is a probit of three parts: the image's difficulty, of which a share can be the
loss's own (losses then find different images hard), the run's quality over seeds, and chance. Half of an outcome's
variance is the image's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

from .two_way import TwoWay, two_way

_LATENT = 2.0**0.5  # standard deviation of image and chance together
_CHUNK = 3_000_000  # outcomes simulated at a time


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is simulated.

    Attributes:
        counts: test images of each class.
        losses: number of losses.
        seeds: runs of each.
        accuracy: mean recall.
        seed_sd: standard deviation of a run's true recall over seeds.
        own_share: share of an image's difficulty that is the loss's own.
        planted: by how much the last loss is better, as a share.
        heavy_tails: whether runs fail badly now and then (Student's t with 3 degrees of freedom, of the same spread).
        unequal: factor between the seed spreads of the last and the first loss.
        diverging: probability that a run diverges; it counts as a constant answer.
    """

    counts: tuple[int, ...] = (200,) * 8
    losses: int = 5
    seeds: int = 5
    accuracy: float = 0.7
    seed_sd: float = 0.015
    own_share: float = 0.0
    planted: float = 0.0
    heavy_tails: bool = False
    unequal: float = 1.0
    diverging: float = 0.0

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """(N,) classes of the test images."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of losses."""
        return list(combinations(range(self.losses), 2))

    @property
    def truth(self) -> npt.NDArray[np.float64]:
        """(L,) true mean recall of each loss over new seeds and images."""
        better = np.zeros(self.losses)
        better[-1] = self.planted
        slope = np.exp(-(special.ndtri(self.accuracy) ** 2) / 2) / (2 * np.pi) ** 0.5
        spread = self._spreads() / slope
        found = special.ndtr((special.ndtri(self.accuracy) + better / slope) / np.sqrt(1 + spread**2))
        return np.asarray(
            found if not self.diverging else (1 - self.diverging) * found + self.diverging / len(self.counts)
        )

    def _spreads(self) -> npt.NDArray[np.float64]:
        return self.seed_sd * np.geomspace(1, self.unequal, self.losses)


def outcomes(setting: Setting, comparisons: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield chunks (K, L, S, N) of outcomes: 1 where a run is right, chance level where it diverged."""
    generator = np.random.default_rng(seed)
    s = setting
    images = sum(s.counts)
    center = special.ndtri(s.accuracy)
    slope = np.exp(-(center**2) / 2) / (2 * np.pi) ** 0.5
    size = max(1, _CHUNK // (s.losses * s.seeds * images))
    for start in range(0, comparisons, size):
        many = min(size, comparisons - start)
        runs = (many, s.losses, s.seeds)
        drawn = generator.standard_t(3, runs) / 3**0.5 if s.heavy_tails else generator.standard_normal(runs)
        quality = drawn * s._spreads()[:, None]
        quality[:, -1] += s.planted
        shared = generator.standard_normal((many, 1, 1, images), dtype=np.float32) * (1 - s.own_share) ** 0.5
        latent = generator.standard_normal((*runs, images), dtype=np.float32)
        latent += shared + ((center + quality / slope) * _LATENT).astype(np.float32)[..., None]
        if s.own_share:
            latent += generator.standard_normal((many, s.losses, 1, images), dtype=np.float32) * s.own_share**0.5
        right = (latent > 0).astype(np.float32)
        if s.diverging:
            right[generator.random(runs) < s.diverging] = 1 / len(s.counts)
        yield right


def errors(setting: Setting, comparisons: int, seed: int, seeds: Sequence[int] = ()) -> Iterator[list[TwoWay]]:
    """Yield the errors of all pairs for chunks of comparisons, one for each number of seeds (all seeds by default).

    Args:
        setting: what is simulated.
        comparisons: how many.
        seed: of the simulation.
        seeds: numbers of seeds at which a verdict is given, nested.
    """
    for right in outcomes(replace(setting, seeds=max(seeds, default=setting.seeds)), comparisons, seed):
        yield [two_way(right[:, :, :n], setting.targets, setting.pairs) for n in seeds or (setting.seeds,)]
