"""The backbones that lossbench defines itself; every other name is a timm model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import nn

from . import IR_50, SENET_TINY, SENET_TINY_IMAGE_SIZE, ir50
from .senet_tiny import SENetTiny


class OwnBackbone(NamedTuple):
    """A backbone and its images.

    Attributes:
        build: returns the backbone with fresh weights from torch's generator; images (B, 3, S, S) to features (B, D).
        image_size: S, the side in pixels that it is made for.
        settings: normalization of its published weights in the form of timm's `pretrained_cfg`; empty without any.
    """

    build: Callable[[], nn.Module]
    image_size: int
    settings: Mapping[str, Any] = MappingProxyType({})


OWN_BACKBONES = {
    SENET_TINY: OwnBackbone(SENetTiny, SENET_TINY_IMAGE_SIZE),
    IR_50: OwnBackbone(ir50.IR50, ir50.SIDE, ir50.SETTINGS),
}
