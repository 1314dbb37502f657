"""Turn what a caller passes as images into batches for a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ...data.given_image import GivenImage, given_images
from ...data.table import Pixels
from ...errors import DataError, listed

_PIXELS = 64 * 224**2  # of images that go through the model together
_SHOWN = 20  # images that an error lists


def image_batches(
    images: GivenImage | Iterable[GivenImage], size: int, prepare: Callable[[GivenImage], Pixels]
) -> Iterator[Tensor]:
    """Yield (N, 3, S, S) uint8 batches, reading one batch of images at a time.

    Args:
        images: one image, an iterable of images, or an array or tensor (N, 3, S, S) that is used as it is.
        size: S in pixels.
        prepare: function from an image to its (S, S, 3) pixels.

    Raises:
        DataError: one error for all images that cannot be read; after the first of them nothing is yielded.
    """
    together = max(1, _PIXELS // size**2)
    if isinstance(images, np.ndarray | Tensor) and images.ndim == 4 and images.shape[1:] == (3, size, size):
        if str(images.dtype).rpartition(".")[2] != "uint8":
            raise DataError(f"a batch of {images.dtype}: expected uint8, 0 to 255, RGB; the module normalizes it")
        for start in range(0, len(images), together):
            part = images[start : start + together]
            yield part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        return
    numbered, problems = enumerate(given_images(images)), []
    while chunk := list(islice(numbered, together)):
        prepared = []
        for number, image in chunk:
            try:
                prepared.append(prepare(image))
            except DataError as error:
                problems.append(f"image {number}: {error}")
        if not problems:
            yield torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2)
    if problems:
        raise DataError(f"{len(problems)} image(s) cannot be read:\n{listed(problems, limit=_SHOWN)}")
