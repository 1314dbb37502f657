"""The backbones that lossbench defines itself; every other name is a timm model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from . import SENET_TINY, SENET_TINY_IMAGE_SIZE
from .senet_tiny import SENetTiny


class OwnBackbone(NamedTuple):
    """A backbone and its image size.

    Attributes:
        build: returns the backbone with fresh weights from torch's generator; images (B, 3, S, S) to features (B, D).
        image_size: S, the side in pixels that it is made for.
    """

    build: Callable[[], nn.Module]
    image_size: int


OWN_BACKBONES = {SENET_TINY: OwnBackbone(SENetTiny, SENET_TINY_IMAGE_SIZE)}
