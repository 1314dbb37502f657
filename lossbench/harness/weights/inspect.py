"""Inspect a weight file or a finished run, and whether `--weights` accepts it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import ModelError
from ...models import ANY_MODEL, SENET_50, split_weights, vggface2
from ...models.any_weights import WeightsOptions, plan_weights
from ...models.build import backbone_forms, check_model
from ...models.check_tensors import dtype_name
from ...models.own_images import own_image_size
from ...models.weights import Weights, is_converted, vggface2_weights
from ...models.weights_file import MOST_BYTES, WeightsFile, read_weights_file
from ...runs import layout
from ...runs.finished_run import BACKBONE, read_run
from .start_from import expanded

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "model.mean", "model.std")


def inspect_weights(
    target: str, model: str | None = None, image_size: int | None = None, options: WeightsOptions | None = None
) -> dict[str, Any]:
    """Return kind, digest, preprocessing and tensors of weights, and how they initialize a model.

    Args:
        target: a file, a run's directory, or a `--weights` spec of either or of a repository.
        model: name of the model that the tensors of a file or repository are compared with; None for VGGFace2's.
        image_size: side of the images in pixels; None for the size of the weights.
        options: how the file or repository is read.

    Returns:
        "path", "container", "kind" (None if unknown), "problem" (the reason, else None), "sha256", "model",
        "parameters" (of all tensors except statistics), "preprocessing", "origin", "plan" (None without a model), and
        "tensors": a list of "name", "shape", "dtype" and "becomes" (the name in the backbone, or None for dropped
        tensors).

    Raises:
        ModelError: the file cannot be read.
    """
    kind, place = split_weights(target) or ("", "")
    path = expanded(place or target)
    if path.is_dir() and kind != "hf":
        return _run_content(path)
    if kind in ANY_MODEL or model:
        if not model:
            raise ModelError(f"{target}: pass --model with the model that these weights are for")
        check_model(model, image_size or own_image_size(model))
        source = ("hf", place.strip()) if kind == "hf" else ("file", str(path))
        return _planned(*source, model, image_size, options or WeightsOptions())
    file = read_weights_file(path, MOST_BYTES)
    weights, problem = _understood(file)
    content = {
        "path": str(path),
        "container": file.container,
        "kind": weights.kind if weights else None,
        "problem": problem,
        "sha256": file.sha256,
        "model": weights.model if weights else None,
        "preprocessing": weights.preprocessing.content() if weights else None,
        "origin": weights.origin if weights else {},
        "plan": None,
    }
    return content | _tensors(file.tensors, _becomes(file) if weights else {})


def _planned(kind: str, place: str, model: str, image_size: int | None, options: WeightsOptions) -> dict[str, Any]:
    """Return the content of weights for any model, with the plan of keys."""
    planned = plan_weights(kind, place, model, image_size, options)
    plan, file = planned.plan, planned.file
    problem, origin = planned.problem(options.allow_missing), {}
    if not problem:
        try:
            origin = planned.weights(options.allow_missing).origin
        except ModelError as error:
            problem = str(error)
    content = {
        "path": str(file.path),
        "container": file.container,
        "kind": "hub" if planned.repository else "file",
        "problem": problem,
        "sha256": file.sha256,
        "model": model,
        "preprocessing": planned.images.preprocessing.content(),
        "origin": origin,
        "plan": plan.content() | {"summary": plan.summary(), "images": planned.images.summary()},
    }
    return content | _tensors(file.tensors, plan.taken)


def _understood(file: WeightsFile) -> tuple[Weights | None, str | None]:
    try:
        return vggface2_weights(file), None
    except ModelError as error:
        return None, f"{error}\nFor another model, pass --model NAME"


def _becomes(file: WeightsFile) -> dict[str, str]:
    """Return timm's names by the names in the file, for weights of a known kind."""
    forms = backbone_forms(SENET_50, vggface2.PREPROCESSING.image_size)
    if is_converted(file):
        return {name: name for name in forms}
    return vggface2.find_backbone(file.tensors, file.groups, forms, str(file.path)).timm_names


def _run_content(directory: Path) -> dict[str, Any]:
    run = read_run(directory)
    record = run.record
    content = {
        "path": str(directory),
        "container": "run",
        "kind": "run",
        "problem": None,
        "sha256": record.weights_sha256,
        "model": record.model.name,
        "preprocessing": run.preprocessing().content(),
        "origin": {"file": layout.WEIGHTS, "formula": record.formula, "data": record.data.spec},
        "plan": None,
    }
    becomes = {name: name.removeprefix(BACKBONE) for name in run.state if name.startswith(BACKBONE)}
    return content | _tensors(run.state, becomes)


def _tensors(tensors: Mapping[str, Tensor], becomes: Mapping[str, str]) -> dict[str, Any]:
    rows = [
        {"name": name, "shape": list(value.shape), "dtype": dtype_name(value.dtype), "becomes": becomes.get(name)}
        for name, value in sorted(tensors.items())
    ]
    parameters = sum(math.prod(value.shape) for name, value in tensors.items() if not name.endswith(_STATISTICS))
    return {"parameters": parameters, "tensors": rows}
