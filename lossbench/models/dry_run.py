"""Dry runs of a backbone: the size of its embeddings, and the image sizes that it can process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError, ModelError

_SIZES = (32, 48, 64, 96, 112, 128, 160, 192, 224, 256, 288, 320, 384, 448)  # pixels, to suggest
_SUGGESTED = 3


def settings_of(backbone: nn.Module) -> Mapping[str, Any]:
    """Return timm's metadata for a model's weights (mean, std, tag, origin); empty for other backbones."""
    return getattr(backbone, "pretrained_cfg", None) or {}


def _sizes_that_work(backbone: nn.Module, image_size: int) -> list[int]:
    """Return a few image sizes in pixels near one that does not work, tried by dry runs."""
    parameter = next(backbone.parameters())
    found: list[int] = []
    sizes = {*_SIZES, settings_of(backbone).get("input_size", (3, _SIZES[0]))[-1]} - {image_size}
    for size in sorted(sizes, key=lambda size: (abs(size - image_size), size)):
        if len(found) == _SUGGESTED:
            break
        with contextlib.suppress(Exception), torch.no_grad():
            backbone.eval()(parameter.new_zeros(1, 3, size, size))
            found.append(size)
    return sorted(found)


def embedding_dim_of(name: str, backbone: nn.Module, image_size: int) -> int:
    """Return D by a dry run, which also shows whether the model can process images of this size."""
    parameter = next(backbone.parameters())
    training = backbone.training
    try:
        with torch.no_grad():
            shape = backbone.eval()(parameter.new_zeros(1, 3, image_size, image_size)).shape
    except Exception as error:
        own = settings_of(backbone).get("input_size", (3, "unknown"))[-1]
        sizes = ", ".join(map(str, _sizes_that_work(backbone, image_size)))
        raise ModelError(
            f"{name!r} cannot process images of {image_size} px (its own size is {own}): "
            f"{str(error).strip() or type(error).__name__}\n"
            f"Pass a size that fits with --image-size{f' ({sizes})' if sizes else ''}, or another --model"
        ) from error
    finally:
        backbone.train(training)
    if len(shape) != 2 or shape[1] == 0:
        raise ConfigError(f"{name!r} returns features of shape {tuple(shape)}; expected one vector per image")
    return int(shape[1])
