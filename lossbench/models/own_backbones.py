"""The backbones that lossbench defines itself; every other name is a timm model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from . import SENET_TINY, SENET_TINY_IMAGE_SIZE


class OwnBackbone(NamedTuple):
    """A backbone and its image size.

    Attributes:
        build: returns the backbone with fresh weights from torch's generator; images (B, 3, S, S) to features (B, D).
        image_size: S, the side in pixels that it is made for.
    """

    build: Callable[[], nn.Module]
    image_size: int


def senet_tiny() -> nn.Module:
    """Return an SE-ResNet of basic blocks [1, 1, 1, 1], 16 to 128 channels, 0.3 M parameters, made for 48 px."""
    from timm.models.resnet import BasicBlock, ResNet

    backbone: nn.Module = ResNet(
        BasicBlock,
        [1, 1, 1, 1],
        num_classes=0,
        stem_type="deep",
        stem_width=8,
        channels=(16, 32, 64, 128),
        block_args={"attn_layer": "se"},
    )
    return backbone


OWN_BACKBONES = {SENET_TINY: OwnBackbone(senet_tiny, SENET_TINY_IMAGE_SIZE)}
