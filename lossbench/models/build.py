"""Models by name: `senet-tiny` or any timm backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelError, did_you_mean
from ..traits import Need
from . import SENET_TINY, SENET_TINY_IMAGE_SIZE, architecture
from .check_tensors import Form
from .classifier import Classifier, CosineHead
from .preprocessing import Preprocessing


def build_model(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    seed: int,
    needs: frozenset[Need] = frozenset(),
    backbone_state: Mapping[str, Tensor] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Classifier:
    """A classifier: the backbone's weights from `seed` or given, the head's from `seed` + 1.

    Backbones of one seed are alike whatever the head, so that losses which need different heads start from the same
    features. Dropout is off: it would add noise that differs between losses.

    Args:
        name: "senet-tiny" or a timm name.
        num_classes: C.
        image_size: side of the square images, in pixels.
        seed: of the initial weights.
        needs: of the loss; cosine logits get a cosine head.
        backbone_state: what the backbone starts from; None for fresh weights.
        preprocessing: what these weights want; None for what timm says of the model, or a scale for fresh weights.

    Raises:
        ModelError: an unknown name, or a model that can't take images of this size.
    """
    torch.manual_seed(seed)
    backbone = _backbone(name, image_size)
    if backbone_state is not None:
        backbone.load_state_dict(backbone_state)
    embedding_dim = _embedding_dim(name, backbone, image_size)
    torch.manual_seed(seed + 1)
    build_head = CosineHead if Need.COSINE_LOGITS in needs else nn.Linear
    head = build_head(embedding_dim, num_classes)
    return Classifier(backbone, head, preprocessing or own_preprocessing(backbone, image_size))


def check_model(name: str, image_size: int) -> int:
    """Runs one image through the model's shapes alone, before anything is written or rendered.

    Returns:
        D, the embedding size.

    Raises:
        ModelError: an unknown name, or a size that the model can't take.
    """
    import timm

    if name != SENET_TINY and not timm.is_model(architecture(name)):
        raise ModelError(
            f"there is no model {name!r}. {did_you_mean(name, [SENET_TINY, *timm.list_models()])} "
            "Any timm name works: python -c 'import timm; print(timm.list_models())'"
        )
    with torch.device("meta"):
        backbone = _backbone(name, image_size)
    stride = max((stage["reduction"] for stage in getattr(backbone, "feature_info", None) or []), default=1)
    if image_size < stride:
        raise ModelError(
            f"images of {image_size} px are too small for {name!r}, which halves them down to 1/{stride}; "
            f"give --image-size {stride} or more"
        )
    return _embedding_dim(name, backbone, image_size)


def takes_single_images(name: str, image_size: int) -> bool:
    """Whether the model can train on a batch of one: batch normalisation of a single value can't.

    Args:
        name: "senet-tiny" or a timm name.
        image_size: side of the square images, in pixels.
    """
    with torch.device("meta"):
        backbone = _backbone(name, image_size)
        try:
            backbone.train()(torch.zeros(1, 3, image_size, image_size))
        except ValueError:
            return False
    return True


def backbone_forms(name: str, image_size: int) -> dict[str, Form]:
    """The backbone's state as names, shapes and types, without weights.

    Args:
        name: "senet-tiny" or a timm name.
        image_size: side of the square images, in pixels; transformers have tensors that depend on it.
    """
    with torch.device("meta"):
        state = _backbone(name, image_size).state_dict()
    return {key: Form(tuple(value.shape), value.dtype) for key, value in state.items()}


def imagenet_backbone(name: str, image_size: int) -> nn.Module:
    """A backbone with timm's weights, from its cache or the hub.

    Raises:
        ModelError: they can't be had.
    """
    return _timm_backbone(name, image_size, pretrained=True)


def settings_of(backbone: nn.Module) -> Mapping[str, Any]:
    """What timm says of the weights of a model: mean, std, tag, origin; nothing for senet-tiny."""
    return getattr(backbone, "pretrained_cfg", None) or {}


def own_preprocessing(backbone: nn.Module, image_size: int) -> Preprocessing:
    """What timm says of a model, else a scale that suits fresh weights.

    Args:
        backbone: of `build_model`.
        image_size: side of the square images, in pixels.
    """
    settings = settings_of(backbone)
    (r, g, b), (sr, sg, sb) = settings.get("mean") or (0.5, 0.5, 0.5), settings.get("std") or (0.25, 0.25, 0.25)
    return Preprocessing(mean=(255 * r, 255 * g, 255 * b), std=(255 * sr, 255 * sg, 255 * sb), image_size=image_size)


def _backbone(name: str, image_size: int) -> nn.Module:
    return _senet_tiny() if name == SENET_TINY else _timm_backbone(name, image_size, pretrained=False)


def _senet_tiny() -> nn.Module:
    """SE-ResNet of basic blocks [1, 1, 1, 1], 16 to 128 channels, 0.3 M parameters: made for 48 px on a laptop."""
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


def _timm_backbone(name: str, image_size: int, pretrained: bool) -> nn.Module:
    import timm

    settings = {"num_classes": 0, "drop_rate": 0.0, "pretrained": pretrained}
    try:
        try:
            backbone: nn.Module = timm.create_model(name, img_size=image_size, **settings)  # transformers want to know
        except TypeError:
            backbone = timm.create_model(name, **settings)
    except Exception as error:
        if pretrained:
            raise ModelError(
                f"the ImageNet weights of {name!r} can't be loaded: {error}\n"
                "They come from timm's hub or its cache; without a network use --weights none"
            ) from error
        raise ModelError(f"timm can't build {name!r} for images of {image_size} px: {error}") from error
    return backbone


def _embedding_dim(name: str, backbone: nn.Module, image_size: int) -> int:
    """Finds D by a dry run, which also shows whether the model can take images of this size."""
    parameter = next(backbone.parameters())
    training = backbone.training
    try:
        with torch.no_grad():
            shape = backbone.eval()(parameter.new_zeros(1, 3, image_size, image_size)).shape
    except Exception as error:
        own = settings_of(backbone).get("input_size", (3, "unknown"))[-1]
        raise ModelError(
            f"{name!r} can't take images of {image_size} px (its own size is {own}): {error}\n"
            "Give a size that fits with --image-size, or another --model"
        ) from error
    finally:
        backbone.train(training)
    if len(shape) != 2 or shape[1] == 0:
        raise ConfigError(f"{name!r} gives features of shape {tuple(shape)}, not one vector an image")
    return int(shape[1])


def own_image_size(name: str) -> int:
    """The size in pixels that a model was made for."""
    import timm

    if name == SENET_TINY or not timm.is_model(architecture(name)):
        return SENET_TINY_IMAGE_SIZE
    return int(timm.get_pretrained_cfg(name).input_size[-1])
