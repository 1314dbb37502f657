"""What weights of any model require of their images, from several sources: options, the file, and timm's metadata.

The first source that states a value decides it, and each value is recorded with its source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, ModelError
from .preprocessing import Channels, Preprocessing

RGB, BGR = "rgb", "bgr"
_VALUES = ("mean", "std", "image_size", "channels", "crop_share")


@dataclass(frozen=True, kw_only=True)
class ImageValues:
    """What one source states; None for what it does not.

    Attributes:
        source: name of the source in messages and records.
        mean, std: per channel on the scale 0 to 255, in RGB.
        image_size: side of the square images in pixels.
        channels: `RGB` or `BGR`, the order in which the first convolution takes them.
        crop_share: as in `Preprocessing`.
    """

    source: str
    mean: Channels | None = None
    std: Channels | None = None
    image_size: int | None = None
    channels: str | None = None
    crop_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What weights require of their images.

    Attributes:
        preprocessing: normalization, size and crop.
        channels: `RGB` or `BGR`, the order in which the first convolution of the file takes them.
        sources: value -> name of its source.
    """

    preprocessing: Preprocessing
    channels: str
    sources: dict[str, str]

    def summary(self) -> str:
        """Return the values on timm's scale of 0 to 1, with their sources, as a phrase."""
        wants = self.preprocessing
        mean, std = (", ".join(f"{value / 255:.4g}" for value in values) for values in (wants.mean, wants.std))
        values = {
            "mean": f"mean ({mean})",
            "std": f"std ({std})",
            "image_size": f"{wants.image_size} px",
            "channels": self.channels.upper(),
        }
        by_source: dict[str, list[str]] = {}
        for name, text in values.items():
            by_source.setdefault(self.sources[name], []).append(text)
        return "; ".join(f"{', '.join(texts)} from {source}" for source, texts in by_source.items())


def decide(sources: Sequence[ImageValues]) -> Decided:
    """Return each value from the first source that states it.

    Args:
        sources: sources in the order of their precedence; mean, std and image size must be stated by one of them.

    Raises:
        ModelError: the values contradict each other or are outside their ranges.
    """
    sources = (*sources, ImageValues(source="lossbench's default", channels=RGB, crop_share=1.0))
    found: dict[str, Any] = {}
    stated: dict[str, str] = {}
    for name in _VALUES:
        by = next(source for source in sources if getattr(source, name) is not None)
        found[name], stated[name] = getattr(by, name), by.source
    channels = found.pop("channels")
    try:
        return Decided(preprocessing=Preprocessing(**found), channels=channels, sources=stated)
    except ValueError as error:
        raise ModelError(f"the preprocessing of the weights is invalid: {error}") from error


def from_options(mean: str | None, std: str | None, channels: str | None, image_size: int | None = None) -> ImageValues:
    """Return the values of `--weights-mean`, `--weights-std`, `--weights-channels` and `--image-size`.

    Mean and std are given in the order of the channels.

    Raises:
        ConfigError: a value is not one or three numbers, or not on the scale 0 to 1.
    """
    means, deviations = read_channels("--weights-mean", mean), read_channels("--weights-std", std)
    if deviations and min(deviations) <= 0:
        raise ConfigError(f"--weights-std {std}: must be above 0")
    if channels == BGR:
        means, deviations = means and _reversed(means), deviations and _reversed(deviations)
    return ImageValues(source="options", channels=channels, mean=means, std=deviations, image_size=image_size)


def _reversed(values: Channels) -> Channels:
    return values[2], values[1], values[0]


def read_channels(option: str, text: str | None) -> Channels | None:
    """Return "0.5" or "0.485,0.456,0.406" (on the scale 0 to 1), or "131,104,91/255", on the scale 0 to 255.

    Args:
        option: name of the option, for messages.
        text: its value.

    Raises:
        ConfigError: the text has another form, or a number above 1 without "/255".

    Example:
        >>> read_channels("--weights-mean", "0.5"), read_channels("--weights-mean", "131.5,103,91/255")
        ((127.5, 127.5, 127.5), (131.5, 103.0, 91.0))
    """
    if text is None:
        return None
    numbers, slash, scale = text.partition("/")
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3) or not all(map(math.isfinite, values)) or (slash and scale.strip() != "255"):
        raise ConfigError(
            f"{option} must be one number or three, such as 0.485,0.456,0.406 or 131.09,103.88,91.5/255, got {text!r}"
        )
    if not slash and max(map(abs, values)) > 1:
        raise ConfigError(f"{option} {text}: above 1; for values on the scale 0 to 255, write {text}/255")
    factor = 1.0 if slash else 255.0
    r, g, b = (factor * value for value in (values if len(values) == 3 else values * 3))
    return r, g, b


def from_metadata(metadata: Mapping[str, str]) -> ImageValues | None:
    """Return the values in the metadata of a safetensors file that lossbench wrote, or None if it has none.

    Raises:
        ModelError: they are invalid.
    """
    if "preprocessing" not in metadata:
        return None
    try:
        wants = Preprocessing.of(json.loads(metadata["preprocessing"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"its metadata has an invalid preprocessing ({type(error).__name__}: {error})") from error
    return ImageValues(
        source="the file",
        mean=wants.mean,
        std=wants.std,
        image_size=wants.image_size,
        channels=RGB,
        crop_share=wants.crop_share,
    )


def from_timm(settings: Mapping[str, Any], source: str) -> ImageValues:
    """Return the values of a timm configuration, as a model has it in `pretrained_cfg` and a hub in `config.json`.

    Raises:
        ModelError: they are invalid.
    """
    try:
        size = settings.get("input_size")
        return ImageValues(
            source=source,
            mean=_scaled(settings.get("mean")),
            std=_scaled(settings.get("std")),
            image_size=None if size is None else int(size[-1]),
        )
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise ModelError(f"{source} is not a timm configuration ({type(error).__name__}: {error})") from error


def _scaled(values: Any) -> Channels | None:
    if values is None:
        return None
    r, g, b = (255 * float(value) for value in values)
    return r, g, b
