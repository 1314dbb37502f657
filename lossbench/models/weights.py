"""Read and check weights for a backbone, together with their preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_safetensors
from torch import Tensor

from ..errors import ModelError, some
from . import SENET_50, vggface2
from .build import backbone_forms, imagenet_backbone, own_preprocessing
from .check_tensors import Form, check_fit
from .dry_run import settings_of
from .preprocessing import Preprocessing
from .weights_file import SAFETENSORS, WeightsFile, read_weights_file

_FORMAT = "lossbench weights 1"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The initial weights of a backbone.

    Attributes:
        kind: "imagenet", "vggface2-pickle", "vggface2-dag", "file", "hub" or "run".
        model: name of the architecture.
        state: state of the backbone under timm's names; a part of it if missing tensors are allowed.
        preprocessing: preprocessing of the images.
        origin: origin of the weights for the record: file, digests and other details.
        note: one sentence for the user.
    """

    kind: str
    model: str
    state: dict[str, Tensor] = field(repr=False)
    preprocessing: Preprocessing
    origin: dict[str, Any]
    note: str

    def content(self, spec: str) -> dict[str, Any]:
        """Return the entry for the record."""
        return {"spec": spec, "kind": self.kind, **self.origin}


def read_vggface2(path: Path) -> Weights:
    """Read VGGFace2's SENet-50 from a published file or a file written by `convert`.

    Raises:
        ModelError: the file cannot be read or is a different kind of file.
    """
    return vggface2_weights(read_weights_file(path))


def vggface2_weights(file: WeightsFile) -> Weights:
    """Return VGGFace2's SENet-50 from an opened file."""
    forms = backbone_forms(SENET_50, vggface2.PREPROCESSING.image_size)
    if is_converted(file):
        return _converted(file, forms)
    found = vggface2.find_backbone(file.tensors, file.groups, forms, str(file.path))
    origin = _origin(file, file.path.name, file.sha256, found.identities)
    origin |= {"prefix": found.plan.prefix} if found.plan.prefix else {}
    origin |= {"left_out": found.left_out} if found.left_out else {}
    return Weights(
        kind=found.layout.kind,
        model=SENET_50,
        state=vggface2.read_backbone(found, file.tensors, forms, str(file.path)),
        preprocessing=vggface2.PREPROCESSING,
        origin=origin,
        note=_note(origin, found.layout.kind),
    )


def is_converted(file: WeightsFile) -> bool:
    """Return whether `to_file` wrote the file."""
    return file.container == SAFETENSORS and file.metadata.get("format") == _FORMAT


def known_as(sha256: str) -> str | None:
    """Return the name of the published file with this digest, or None if the digest is unknown."""
    return vggface2.KNOWN_DIGESTS.get(sha256)


def imagenet_weights(model: str, image_size: int) -> Weights:
    """Load timm's weights, from its cache or the hub.

    Raises:
        ModelError: the weights are not available.
    """
    backbone = imagenet_backbone(model, image_size)
    settings = settings_of(backbone)
    url = settings.get("hf_hub_id") or settings.get("url")
    origin = {"file": url, "sha256": None, "tag": settings.get("tag")}
    return Weights(
        kind="imagenet",
        model=model,
        state=dict(backbone.state_dict()),
        preprocessing=own_preprocessing(backbone, image_size),
        origin=origin,
        note=f"weights: {model} from timm ({settings.get('tag') or 'untagged'})",
    )


# --- converted files -------------------------------------------------------------------------------------------------


def to_file(weights: Weights) -> bytes:
    """Return a safetensors file with the weights and their metadata; `read_vggface2` reads it back."""
    metadata = {
        "format": _FORMAT,
        "kind": weights.kind,
        "model": weights.model,
        "preprocessing": json.dumps(weights.preprocessing.content()),
        "source_file": weights.origin["source_file"],
        "source_sha256": weights.origin["source_sha256"],
    }
    if (identities := weights.origin["identities"]) is not None:
        metadata["identities"] = str(identities)
    state = {name: value.contiguous() for name, value in weights.state.items()}
    return to_safetensors(state, metadata)


def _converted(file: WeightsFile, forms: Mapping[str, Form]) -> Weights:
    said = file.metadata
    try:
        kind, model = said["kind"], said["model"]
        source, sha256 = said["source_file"], said["source_sha256"]
        identities = int(said["identities"]) if "identities" in said else None
        preprocessing = Preprocessing.of(json.loads(said["preprocessing"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{file.path} has invalid metadata ({type(error).__name__}: {error}); convert it again"
        ) from error
    if model != SENET_50 or kind not in {layout.kind for layout in vggface2.LAYOUTS}:
        raise ModelError(f"{file.path} contains {kind} weights of {model}; expected VGGFace2 weights of {SENET_50}")
    check_fit(file.tensors, forms, f"{file.path} does not fit {SENET_50}")
    origin = _origin(file, source, sha256, identities)
    return Weights(
        kind=kind,
        model=model,
        state=file.tensors,
        preprocessing=preprocessing,
        origin=origin,
        note=_note(origin, kind),
    )


def _origin(file: WeightsFile, source_file: str, source_sha256: str, identities: int | None) -> dict[str, Any]:
    return {
        "file": file.path.name,
        "sha256": file.sha256,
        "source_file": source_file,
        "source_sha256": source_sha256,
        "known_as": known_as(source_sha256),
        "identities": identities,
    }


def _note(origin: Mapping[str, Any], kind: str) -> str:
    known, sha256 = origin["known_as"], origin["source_sha256"]
    digest = f"known as {known}" if known else f"sha256 {sha256[:12]}…, a digest not known to lossbench"
    made_of = f", converted from {origin['source_file']}" if origin["file"] != origin["source_file"] else ""
    people = origin["identities"]
    classifier = "it has no classifier" if people is None else f"its classifier of {people:,} people is dropped"
    others = f"; left out: {some(origin['left_out'], 4)}" if "left_out" in origin else ""
    return f"weights: {origin['file']} ({kind}{made_of}; {digest}); {classifier}{others}"
