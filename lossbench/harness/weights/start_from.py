"""Read the initial weights of a run, as `--weights` names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ... import files
from ...data.sources import Splits
from ...errors import ConfigError, ModelError
from ...models import ANY_MODEL, architecture, split_weights
from ...models.any_weights import WeightsOptions, plan_weights
from ...models.build import backbone_forms, check_model
from ...models.check_tensors import check_fit
from ...models.own_images import own_image_size
from ...models.weights import Weights, imagenet_weights, read_vggface2, to_file
from ...runs.finished_run import read_run
from ...runs.inputs import check_weights_place


def read_weights(
    spec: str, model: str, image_size: int | None, options: WeightsOptions | None = None
) -> Weights | None:
    """Return the weights of a `--weights` spec, checked against the model; None for `none`.

    Args:
        spec: value of `--weights`.
        model: name of the model.
        image_size: side of the images in pixels, or None for the default.
        options: how weights of any model (`file:PATH` and `hf:REPO`) are read.

    Raises:
        ModelError: a file or run cannot be read, is damaged, or has a different architecture.
    """
    check_weights_place(spec)
    kind, path = split_weights(spec) or ("", "")
    if kind in ANY_MODEL:
        options = options or WeightsOptions()
        check_model(model, image_size or own_image_size(model))
        place = str(expanded(path)) if kind == "file" else path.strip()
        return plan_weights(kind, place, model, image_size, options).weights(options.allow_missing)
    if kind == "vggface2":
        return read_vggface2(expanded(path))
    if kind == "imagenet":
        size = image_size or own_image_size(model)
        check_model(model, size)
        return imagenet_weights(model, size)
    if kind == "run":
        return _of_run(expanded(path), model, image_size)
    return None


def seen_before(weights: Weights, data: str, splits: Splits) -> str | None:
    """Return a warning if an earlier run may have been trained on images that are now in the test split.

    A different label of the same data (for example people and expressions) carves a different test split.

    Args:
        weights: weights of an earlier run.
        data: value of `--data`.
        splits: splits of the data.
    """
    earlier = weights.origin
    if weights.kind != "run" or earlier["data"] != data or "carved" not in splits.origin:
        return None
    if earlier["test_digest"] == splits.test.digest():
        return None
    return (
        f"{earlier['file']} was trained on the same data with different images held out, possibly on images that are "
        "now in the test split. Pass --val, or add a split column to the manifest"
    )


def convert(spec: str, out: Path, *, force: bool = False) -> Weights:
    """Write VGGFace2's weights as a safetensors file with their preprocessing and the source's digest.

    Args:
        spec: `vggface2:FILE`.
        out: file to write, atomically.
        force: replace an existing file.

    Raises:
        ConfigError: a different spec, or `out` exists, has a different suffix, or cannot be written.
        ModelError: the source cannot be read or is a different kind of file.
    """
    kind, path = split_weights(spec) or ("", "")
    if kind != "vggface2":
        raise ConfigError(f"only vggface2:FILE can be converted, got {spec!r}")
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out} must end in .safetensors")
    if out.exists() and not force:
        raise ConfigError(f"{out} already exists; pass another name, or --force to replace it")
    weights = read_vggface2(expanded(path))
    files.write_atomically(out, lambda file: file.write(to_file(weights)))
    return weights


def expanded(path: str) -> Path:
    """Return the path of a user-written path."""
    return Path(os.path.expanduser(path.strip()))


def _of_run(directory: Path, model: str, image_size: int | None) -> Weights:
    run = read_run(directory)
    record = run.record
    theirs, preprocessing = record.model.name, run.preprocessing()
    if architecture(theirs) != architecture(model):
        raise ModelError(
            f"--weights run:{directory} has model {theirs}, but --model is {model}; pass --model {theirs}, or "
            "another run"
        )
    state, size = run.backbone(), image_size or preprocessing.image_size
    check_fit(state, backbone_forms(model, size), f"the weights of {directory} do not fit {model} at {size} px")
    origin: dict[str, Any] = {
        "file": directory.name,
        "sha256": record.weights_sha256,
        "formula": record.formula,
        "seed": record.seed,
        "data": record.data.spec,
        "train_digest": record.data.train_digest,
        "test_digest": record.data.test_digest,
    }
    return Weights(
        kind="run",
        model=theirs,
        state=state,
        preprocessing=preprocessing,
        origin=origin,
        note=f"weights: the backbone of {directory} ({record.formula} on {record.data.spec}); the head is new",
    )
