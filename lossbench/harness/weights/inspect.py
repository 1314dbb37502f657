"""Inspect a weight file or a finished run, and whether `--weights` accepts it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import ModelError
from ...models import SENET_50, split_weights, vggface2
from ...models.build import backbone_forms
from ...models.check_tensors import dtype_name
from ...models.weights import Weights, vggface2_weights
from ...models.weights_file import WeightsFile, read_weights_file
from ...runs import layout
from ...runs.finished_run import BACKBONE, read_run
from .start_from import expanded

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "model.mean", "model.std")


def inspect_weights(target: str) -> dict[str, Any]:
    """Return kind, digest, preprocessing and tensors of weights.

    Args:
        target: a file, a run's directory, or a `--weights` spec of either.

    Returns:
        "path", "container", "kind" (None if unknown), "problem" (the reason, else None), "sha256", "model",
        "parameters" (of all tensors except statistics), "preprocessing", "origin", and "tensors": a list of "name",
        "shape", "dtype" and "becomes" (timm's name in the backbone, or None for dropped tensors).

    Raises:
        ModelError: the file cannot be read.
    """
    spec = split_weights(target)
    path = expanded(spec[1] if spec and spec[1] else target)
    if path.is_dir():
        return _run_content(path)
    file = read_weights_file(path)
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
    }
    return content | _tensors(file.tensors, _becomes(file) if weights else {})


def _understood(file: WeightsFile) -> tuple[Weights | None, str | None]:
    try:
        return vggface2_weights(file), None
    except ModelError as error:
        return None, str(error)


def _becomes(file: WeightsFile) -> dict[str, str]:
    """Return timm's names by the names in the file, for weights of a known kind."""
    forms = backbone_forms(SENET_50, vggface2.PREPROCESSING.image_size)
    if file.metadata:
        return {name: name for name in forms}
    layout = vggface2.layout_of(file.tensors, forms, str(file.path))
    return {layout.named(name): name for name in forms}


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
