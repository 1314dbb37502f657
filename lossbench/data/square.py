"""Cut a square window out of an image and scale it: of a Pillow image with Pillow, of an array with torch."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from .table import Pixels


def square(
    image: Image.Image | Pixels, size: int, *, share: float = 1.0, across: float = 0.5, down: float = 0.5
) -> Pixels:
    """Return a square window of an image, scaled to (size, size, 3).

    The window of a Pillow image begins and ends between pixels, that of an array at whole pixels. Both are scaled
    linearly with antialiasing.

    Args:
        image: RGB; an array has shape (H, W, 3).
        size: side of the result in pixels.
        share: side of the window as a share of the image's short side.
        across: position of the window from left (0) to right (1).
        down: position of the window from top (0) to bottom (1).
    """
    if isinstance(image, np.ndarray):
        height, width = image.shape[:2]
        pixels = max(1, round(share * min(width, height)))
        x, y = round(across * (width - pixels)), round(down * (height - pixels))
        return scaled(image[y : y + pixels, x : x + pixels], size, size)
    width, height = image.size
    side = share * min(width, height)
    left, top = across * (width - side), down * (height - side)
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def mirrored(pixels: Pixels) -> Pixels:
    """Return (H, W, 3) pixels with left and right exchanged. NumPy takes ten times as long to copy them in reverse."""
    found: Pixels = _as_tensor(pixels).flip(1).numpy()
    return found


def scaled(pixels: Pixels, height: int, width: int) -> Pixels:
    """Return (H, W, 3) pixels scaled linearly with antialiasing, (height, width, 3)."""
    own = np.ascontiguousarray(pixels)
    if own.shape[:2] == (height, width):
        return own
    found = np.empty((height, width, 3), dtype=np.uint8)
    # `interpolate` returns a single image with its channels apart, which takes as long to undo as the scaling.
    source, target = (_as_tensor(each).permute(2, 0, 1)[None] for each in (own, found))
    torch.ops.aten._upsample_bilinear2d_aa.out(source, [height, width], False, None, None, out=target)
    return found


def _as_tensor(pixels: Pixels) -> torch.Tensor:
    """Return a tensor of the same memory; of a copy, for an array that cannot be written, of which torch warns."""
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
