"""Data sources, splits and loading. Names that the command line shows are kept here, where no NumPy is imported."""

import re
from dataclasses import dataclass
from enum import StrEnum

from ..errors import ConfigError

_CLASS_BATCHES = re.compile(r"classes:([1-9]\d{0,5})x([1-9]\d{0,5})")


class Sampler(StrEnum):
    """How training rows are drawn."""

    NATURAL = "natural"  # every row once per epoch
    BALANCED = "balanced"  # classes equally often, rows of a class equally often, with replacement
    SQRT = "sqrt"  # classes by the square root of their counts, with replacement


class Augment(StrEnum):
    """How training images are changed at random."""

    NONE = "none"  # the central square, as in evaluation
    MIRROR = "mirror"  # the central square; half of the images are mirrored
    CROP = "crop"  # a square of 80 to 100 % of the short side
    STANDARD = "standard"  # crop and mirror
    STRONG = "strong"  # standard, then torchvision's TrivialAugmentWide and RandomErasing


class Decoding(StrEnum):
    """How image files are decoded, and how images are resized."""

    EXACT = "exact"  # whole files, resized by Pillow
    FAST = "fast"  # JPEG files at 1/2, 1/4 or 1/8 of their size where that is enough; resized as tensors


class CacheOn(StrEnum):
    """Where decoded images are kept for the next epochs and runs."""

    MEMORY = "memory"
    DISK = "disk"


@dataclass(frozen=True)
class ClassBatches:
    """Batches of M classes with N images each, for losses on pairs and triplets; classes are drawn equally often.

    Attributes:
        classes: M.
        images: N.
    """

    classes: int
    images: int

    def __str__(self) -> str:
        return f"classes:{self.classes}x{self.images}"

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        return self.classes * self.images


def parse_sampler(text: str) -> Sampler | ClassBatches:
    """Read the value of `--sampler`.

    Raises:
        ConfigError: it has another form.

    Example:
        >>> parse_sampler("classes:8x4").batch_size
        32
    """
    if text in tuple(Sampler):
        return Sampler(text)
    found = _CLASS_BATCHES.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--sampler {text!r}: expected classes:MxN, such as classes:8x4 for 4 images of each of 8 classes"
        )
    return ClassBatches(int(found[1]), int(found[2]))
