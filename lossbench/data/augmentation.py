"""Augmentation of training images: a pure function of (seed, epoch, row), whatever the workers and the other images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from . import Augment
from .square import mirrored, square
from .table import Pixels

_SMALLEST_CROP = 0.8  # of the short side
_ERASED = 0.25  # share of images


@dataclass(frozen=True)
class Augmentation:
    """Changes training images at random.

    Attributes:
        kind: what is done; "strong" erases a rectangle of a quarter of the images.
        seed: seed of the random numbers.
    """

    kind: Augment
    seed: int

    def __call__(self, image: Image.Image | Pixels, size: int, share: float, epoch: int, row: int) -> Pixels:
        """Return (size, size, 3) pixels.

        Args:
            image: RGB, of which Pillow scales an image and torch an array.
            size: side of the result in pixels.
            share: side of the central square as a share of the short side, where no square is drawn.
            epoch: epoch, counted from 0.
            row: row of the training split.
        """
        generator = np.random.default_rng((self.seed, epoch, row))
        draws = generator.random(4)
        window: dict[str, float] = {"share": share}
        if self.kind in (Augment.CROP, Augment.STANDARD, Augment.STRONG):
            side = _SMALLEST_CROP + (1 - _SMALLEST_CROP) * float(draws[0])
            window = {"share": side, "across": float(draws[1]), "down": float(draws[2])}
        pixels = square(image, size, **window)
        if self.kind in (Augment.MIRROR, Augment.STANDARD, Augment.STRONG) and draws[3] < 0.5:
            pixels = mirrored(pixels)
        if self.kind is not Augment.STRONG:
            return pixels
        return _changed_strongly(pixels, int(generator.integers(2**63)))


def _changed_strongly(pixels: Pixels, seed: int) -> Pixels:
    """Return pixels after torchvision's transforms, whose generator is torch's own and is put back afterwards."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would also seed the devices
    try:
        changed = _transforms()(torch.tensor(pixels).permute(2, 0, 1))
    finally:
        torch.set_rng_state(state)
    array: Pixels = changed.permute(1, 2, 0).contiguous().numpy()
    return array


@functools.cache
def _transforms() -> Callable[[torch.Tensor], Any]:
    from torchvision.transforms import v2

    transforms: Callable[[torch.Tensor], Any] = v2.Compose([v2.TrivialAugmentWide(), v2.RandomErasing(p=_ERASED)])
    return transforms
