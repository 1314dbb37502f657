"""Where a run's weights come from: `--weights none`, `imagenet`, `vggface2:FILE` or `run:DIR`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ... import files
from ...data.sources import Splits
from ...errors import ConfigError, ModelError
from ...models import architecture, split_weights
from ...models.build import backbone_forms, check_model, own_image_size
from ...models.check_tensors import check_fit
from ...models.weights import Weights, imagenet_weights, read_vggface2, to_file
from ...runs.finished_run import read_run


def read_weights(spec: str, model: str, image_size: int | None) -> Weights | None:
    """The weights of a `--weights` spec, checked against the model; None for `none`.

    Args:
        spec: as written.
        model: whose backbone is to start from them.
        image_size: side of the images in pixels, where the user gave one.

    Raises:
        ModelError: a file or run that can't be read, is damaged, or holds another architecture.
    """
    kind, path = split_weights(spec) or ("", "")
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
    """What to say where an earlier run may have trained on images that are evaluated now.

    Another label of the same data carves another evaluation split: people and expressions, say.

    Args:
        weights: of an earlier run.
        data: as written.
        splits: of the data.
    """
    earlier = weights.origin
    if weights.kind != "run" or earlier["data"] != data or "carved" not in splits.origin:
        return None
    if earlier["test_digest"] == splits.test.digest():
        return None
    return (
        f"{earlier['file']} was trained on the same data with other images held out: it may have seen images that are "
        "evaluated now. Give --val, or a split column in the manifest"
    )


def convert(spec: str, out: Path, *, force: bool = False) -> Weights:
    """Writes VGGFace2's weights as a safetensors file that carries their preprocessing and the source's digest.

    Args:
        spec: `vggface2:FILE`.
        out: the file to write; whole or not at all.
        force: whether it may replace a file.

    Raises:
        ConfigError: another spec, or an `out` that is there, has another suffix, or can't be written.
        ModelError: a file that can't be read or is something else.
    """
    kind, path = split_weights(spec) or ("", "")
    if kind != "vggface2":
        raise ConfigError(f"only vggface2:FILE can be converted, got {spec!r}")
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out} must end in .safetensors, the kind of file that is written")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already; give another name, or --force to replace it")
    weights = read_vggface2(expanded(path))
    files.write_atomically(out, lambda file: file.write(to_file(weights)))
    return weights


def expanded(path: str) -> Path:
    """A path as a user writes it."""
    return Path(os.path.expanduser(path.strip()))


def _of_run(directory: Path, model: str, image_size: int | None) -> Weights:
    if not directory.is_dir():
        raise ModelError(f"--weights run:{directory}: there is no such directory; expected that of a finished run")
    run = read_run(directory)
    record = run.record
    theirs, preprocessing = record.model.name, run.preprocessing()
    if architecture(theirs) != architecture(model):
        raise ModelError(
            f"--weights run:{directory} holds a {theirs} and --model is {model}; give --model {theirs}, or another run"
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
