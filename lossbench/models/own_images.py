"""What a model states about its images, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import SENET_TINY_IMAGE_SIZE, architecture
from .image_values import ImageValues, from_timm
from .own_backbones import OWN_BACKBONES

# The scale of images for weights that state none: values from -2 to 2.
FRESH = ImageValues(source="lossbench's default", mean=(127.5, 127.5, 127.5), std=(63.75, 63.75, 63.75))


def own_image_size(name: str) -> int:
    """Return the side in pixels of the images that a model is made for."""
    if name in OWN_BACKBONES:
        return OWN_BACKBONES[name].image_size
    settings = _timm_settings(name)
    return int(settings["input_size"][-1]) if settings else SENET_TINY_IMAGE_SIZE


def own_values(name: str) -> list[ImageValues]:
    """Return what a model states about its images, in the order of precedence.

    Args:
        name: a backbone of `own_backbones` or a timm name.
    """
    size = ImageValues(source=f"the size of {name}", image_size=own_image_size(name))
    if name in OWN_BACKBONES:
        return [from_timm(OWN_BACKBONES[name].settings, f"the publishers of {name}"), size, FRESH]
    settings = _timm_settings(name)
    tag = settings.get("tag")
    return [from_timm(settings, f"timm's {architecture(name)}{f'.{tag}' if tag else ''}"), size, FRESH]


def _timm_settings(name: str) -> Mapping[str, Any]:
    import timm

    known = timm.is_model(architecture(name)) and timm.get_pretrained_cfg(name)
    return known.to_dict() if known else {}
