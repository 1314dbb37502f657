"""The preprocessing of images that belongs to a set of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Channels = tuple[float, float, float]
# VGGFace2, like ImageNet, is evaluated on the central 224 px of images whose short side is 256.
SHORT_SIDE_256 = 224 / 256


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The transformation of an RGB image of 0 to 255 before it enters a backbone: `(image - mean) / std`.

    Attributes:
        mean: mean of red, green and blue, on the scale 0 to 255.
        std: standard deviation of red, green and blue, on the scale 0 to 255.
        image_size: side in pixels of the square images for which the weights were trained.
        crop_share: side of the central square used in evaluation, as a share of the image's short side. Scaling the
            short side to 256 and cropping the central 224 is 224/256.

    Raises:
        ValueError: a value is outside its range.
    """

    mean: Channels
    std: Channels
    image_size: int
    crop_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            channels = getattr(self, name)
            if len(channels) != 3 or not all(map(math.isfinite, channels)):
                raise ValueError(f"{name} must be three finite numbers, got {channels}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        if self.image_size < 1:
            raise ValueError(f"image_size must be at least 1, got {self.image_size}")
        if not 0 < self.crop_share <= 1:
            raise ValueError(f"crop_share must be in (0, 1], got {self.crop_share}")

    def content(self) -> dict[str, Any]:
        """Return a dictionary for records and file headers; `Preprocessing.of` reads it back.

        Example:
            >>> given = Preprocessing(mean=(131.0, 104.0, 91.5), std=(1.0, 1.0, 1.0), image_size=224)
            >>> given.content()["scale"], Preprocessing.of(given.content()) == given
            ('0..255', True)
        """
        return {
            "channels": "RGB",
            "scale": "0..255",
            "mean": list(self.mean),
            "std": list(self.std),
            "image_size": self.image_size,
            "crop_share": self.crop_share,
        }

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Preprocessing:
        """Create a preprocessing from the result of `content`.

        Raises:
            KeyError, TypeError, ValueError: the dictionary is invalid.
        """
        if (content["channels"], content["scale"]) != ("RGB", "0..255"):
            raise ValueError(f"unknown channels {content['channels']!r} or scale {content['scale']!r}")
        (r, g, b), (sr, sg, sb) = content["mean"], content["std"]
        return cls(
            mean=(float(r), float(g), float(b)),
            std=(float(sr), float(sg), float(sb)),
            image_size=int(content["image_size"]),
            crop_share=float(content["crop_share"]),
        )

    to_json, from_json = content, of
