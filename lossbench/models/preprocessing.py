"""How a model wants its images: the part of a set of weights that is not a weight."""

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
    """What is done to an RGB image of 0 to 255 before it enters a backbone: `(image - mean) / std`.

    Attributes:
        mean: of red, green and blue, on the scale 0 to 255.
        std: likewise.
        image_size: side in pixels of the square images that the weights were made for.
        crop_share: side of the central square that evaluation looks at, as a share of the image's short side.
            Scaling the short side to 256 and cutting out the central 224 is 224/256.

    Raises:
        ValueError: a number outside its range.
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
            raise ValueError(f"crop_share must lie in (0, 1], got {self.crop_share}")

    def content(self) -> dict[str, Any]:
        """For records and headers of files; `Preprocessing.of` reads it back.

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
        """From what `content` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        if (content["channels"], content["scale"]) != ("RGB", "0..255"):
            raise ValueError(f"channels {content['channels']!r} on the scale {content['scale']!r} are not known")
        (r, g, b), (sr, sg, sb) = content["mean"], content["std"]
        return cls(
            mean=(float(r), float(g), float(b)),
            std=(float(sr), float(sg), float(sb)),
            image_size=int(content["image_size"]),
            crop_share=float(content["crop_share"]),
        )

    to_json, from_json = content, of
