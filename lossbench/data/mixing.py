"""Mixup and CutMix: two images in one, with probabilities as targets; pure functions of (seed, epoch, row).

Mixup (Zhang et al., ICLR 2018, arXiv 1710.09412) averages two images; CutMix (Yun et al., ICCV 2019, arXiv 1905.04899)
replaces a rectangle of one by the other. With a share r of the first image, drawn from Beta(alpha, alpha), the target
is r of the first class and 1 - r of the second. If both are asked for, each row draws one of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Mixing:
    """How the images of a training split are mixed.

    Attributes:
        mixup: alpha of mixup; 0 for none.
        cutmix: alpha of CutMix; 0 for none.
        seed: seed of partners, shares and rectangles.
        num_classes: C.
        cumulative: (N,) cumulative probabilities of the rows to be a partner: those of the sampler.
    """

    mixup: float
    cutmix: float
    seed: int
    num_classes: int
    cumulative: npt.NDArray[np.float64]

    def mixed(
        self, epoch: int, row: int, image: Callable[[int, int], Pixels], targets: npt.NDArray[Any]
    ) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """Return the (S, S, 3) pixels and the (C,) target of a row in an epoch.

        Args:
            epoch: epoch, counted from 0.
            row: row of the training split.
            image: returns the pixels of a row in an epoch.
            targets: (N,) class numbers or (N, C) probabilities of all rows.
        """
        generator = np.random.default_rng((self.seed, epoch, row, 1))
        partner = min(int(np.searchsorted(self.cumulative, generator.random(), side="right")), len(targets) - 1)
        cut = self.cutmix > 0 and (self.mixup == 0 or generator.random() < 0.5)
        alpha = self.cutmix if cut else self.mixup
        share = float(generator.beta(alpha, alpha))
        own, other = image(epoch, row), image(epoch, partner)
        if cut:
            pixels, share = _cut(own, other, share, generator)
        else:
            pixels = np.rint(share * own.astype(np.float32) + (1 - share) * other).astype(np.uint8)
        target = np.zeros(self.num_classes, dtype=np.float32)
        for part, weight in ((targets[row], share), (targets[partner], 1 - share)):
            if targets.ndim == 2:
                target += weight * part
            else:
                target[part] += weight
        return pixels, target


def _cut(own: Pixels, other: Pixels, share: float, generator: np.random.Generator) -> tuple[Pixels, float]:
    """Replace a rectangle of 1 - share of the area, as far as it lies in the image; return what share remains."""
    size = own.shape[0]
    half = round(size * (1 - share) ** 0.5) / 2
    middle = generator.integers(size, size=2)
    low, high = (np.clip(np.rint(middle + sign * half), 0, size).astype(int) for sign in (-1, 1))
    pixels = own.copy()
    pixels[low[0] : high[0], low[1] : high[1]] = other[low[0] : high[0], low[1] : high[1]]
    return pixels, 1 - float(np.prod(high - low)) / size**2
