"""Build models by name: a backbone of `own_backbones` or any timm backbone, with a head."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ..errors import ModelError, did_you_mean
from ..traits import Need
from . import SENET_TINY, architecture
from .check_tensors import Form
from .classifier import Classifier, CosineHead
from .dry_run import embedding_dim_of, settings_of
from .hub import quick_hub
from .image_values import ImageValues, decide, from_timm
from .own_backbones import OWN_BACKBONES
from .own_images import FRESH
from .preprocessing import Preprocessing

_KEPT = 32  # answers of dry runs: a dry run takes 0.1 s and more, and a grid asks for each cell
_NAME = re.compile(r"\w+(\.\w+)?")  # no "hf-hub:...", no "local-dir:...", no path


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
    """Build a classifier: backbone weights from `seed` or given, head weights from `seed` + 1.

    Backbones of one seed are equal whatever the head, so that losses which need different heads start from the same
    features. Dropout is off, because its noise would differ between losses.

    Args:
        name: a backbone of `own_backbones` or a timm name.
        num_classes: C.
        image_size: side of the square images in pixels.
        seed: random seed of the initial weights.
        needs: the needs of the loss; cosine logits get a cosine head.
        backbone_state: weights that the backbone starts from, all or a part; None for fresh weights.
        preprocessing: preprocessing that these weights require; None for timm's, or a scale for fresh weights.

    Raises:
        ModelError: an unknown name, or a model that cannot process images of this size.
    """
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would also seed the devices
    backbone = _backbone(name, image_size)
    if backbone_state is not None:
        backbone.load_state_dict(backbone.state_dict() | dict(backbone_state))
    embedding_dim = embedding_dim_of(name, backbone, image_size)
    torch.default_generator.manual_seed(seed + 1)
    build_head = CosineHead if Need.COSINE_LOGITS in needs else nn.Linear
    head = build_head(embedding_dim, num_classes)
    return Classifier(backbone, head, preprocessing or own_preprocessing(backbone, image_size))


@functools.lru_cache(_KEPT)
def check_model(name: str, image_size: int) -> int:
    """Check name and image size by running one image on the meta device; return the embedding size, D.

    Raises:
        ModelError: an unknown name, or a size that the model cannot process.
    """
    if name not in OWN_BACKBONES:
        import timm

        if not timm.is_model(architecture(name)):
            raise ModelError(
                f"unknown model {name!r}. {did_you_mean(name, [*OWN_BACKBONES, *timm.list_models()])} "
                "Any timm name works: python -c 'import timm; print(timm.list_models())'"
            )
    with _dry(name):
        backbone = _backbone(name, image_size)
    stride = max((stage["reduction"] for stage in getattr(backbone, "feature_info", None) or []), default=1)
    if image_size < stride:
        raise ModelError(
            f"images of {image_size} px are too small for {name!r}, which reduces them to 1/{stride} of their side; "
            f"pass --image-size {stride} or more"
        )
    return embedding_dim_of(name, backbone, image_size)


@functools.lru_cache(_KEPT)
def takes_single_images(name: str, image_size: int) -> bool:
    """Return whether the model can train on a batch of one image; batch normalization of a single value cannot.

    Args:
        name: a backbone of `own_backbones` or a timm name.
        image_size: side of the square images in pixels.
    """
    with _dry(name):
        backbone = _backbone(name, image_size)
        try:
            backbone.train()(torch.zeros(1, 3, image_size, image_size))
        except ValueError:
            return False
    return True


@functools.lru_cache(_KEPT)
def parameters_without_gradient(name: str, image_size: int) -> tuple[str, ...]:
    """Return the backbone's trainable parameters that its embeddings do not depend on, by a dry run.

    Args:
        name: a backbone of `own_backbones` or a timm name.
        image_size: side of the square images in pixels.
    """
    with _dry(name):
        backbone = _backbone(name, image_size).train()
        embeddings = backbone(torch.zeros(2, 3, image_size, image_size))
    trained = {key: value for key, value in backbone.named_parameters() if value.requires_grad}
    found = torch.autograd.grad(embeddings.sum(), list(trained.values()), allow_unused=True)
    return tuple(key for key, gradient in zip(trained, found, strict=True) if gradient is None)


@functools.lru_cache(_KEPT)
def backbone_forms(name: str, image_size: int) -> Mapping[str, Form]:
    """Return names, shapes and types of a backbone's state, without weights.

    Args:
        name: a backbone of `own_backbones` or a timm name.
        image_size: side of the square images, in pixels; some tensors of transformers depend on it.
    """
    with _dry(name):
        state = _backbone(name, image_size).state_dict()
    return MappingProxyType({key: Form(tuple(value.shape), value.dtype) for key, value in state.items()})


def imagenet_backbone(name: str, image_size: int) -> nn.Module:
    """Return a backbone with timm's pretrained weights, from timm's cache or hub.

    Raises:
        ModelError: the weights cannot be loaded.
    """
    # The hub's client would print five retries before the one error that follows.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    with quick_hub():
        return _timm_backbone(name, image_size, pretrained=True)


def own_preprocessing(backbone: nn.Module, image_size: int) -> Preprocessing:
    """Return the preprocessing from timm's metadata, or a scale that suits fresh weights.

    Args:
        backbone: a backbone as `build_model` uses it.
        image_size: side of the square images in pixels.
    """
    given = ImageValues(source="the caller", image_size=image_size)
    return decide([given, from_timm(settings_of(backbone), "timm"), FRESH]).preprocessing


def _backbone(name: str, image_size: int) -> nn.Module:
    own = OWN_BACKBONES.get(name)
    return own.build() if own else _timm_backbone(name, image_size, pretrained=False)


def _timm_backbone(name: str, image_size: int, pretrained: bool) -> nn.Module:
    import timm

    if not _NAME.fullmatch(name) or not timm.is_model(architecture(name)):
        raise ModelError(f"{name[:100]!r} is not in timm's list of models; nothing else is loaded or looked up by name")
    settings = {"num_classes": 0, "drop_rate": 0.0, "pretrained": pretrained}
    try:
        try:
            backbone: nn.Module = timm.create_model(name, img_size=image_size, **settings)  # transformers need it
        except TypeError:
            backbone = timm.create_model(name, **settings)
    except Exception as error:
        if pretrained:
            raise ModelError(
                f"the ImageNet weights of {name!r} cannot be loaded: {error}\n"
                "They come from timm's hub or cache; without a network, pass --weights none"
            ) from error
        raise ModelError(f"timm cannot build {name!r} for images of {image_size} px: {error}") from error
    return backbone


@contextlib.contextmanager
def _dry(name: str) -> Iterator[None]:
    """Build models for dry runs on the meta device, where weights and images take neither memory nor time.

    senet-tiny is so small that the CPU is faster: for some of its layers, the meta device imports torch's compiler,
    which takes more than a second.
    """
    with torch.device("cpu" if name == SENET_TINY else "meta"), torch.random.fork_rng(devices=[]):
        yield
