"""A finished run as its directory holds it: record and weights, checked against each other."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from ..errors import ModelError
from ..models.preprocessing import Preprocessing
from . import layout

_RECORD_LIMIT, _WEIGHTS_LIMIT = 64 * 2**20, 16 * 2**30  # bytes
BACKBONE = "model.backbone."


@dataclass(frozen=True)
class FinishedRun:
    """Attributes:
    directory: where it lies.
    record: content of `record.json`.
    state: of the model ("model.…") and the loss ("loss.…").
    """

    directory: Path
    record: dict[str, Any]
    state: dict[str, Tensor] = field(repr=False)

    def preprocessing(self) -> Preprocessing:
        """What the run did to its images.

        Raises:
            ModelError: the record or the weights don't say it.
        """
        try:
            model = self.record["model"]
            (r, g, b), (sr, sg, sb) = (self.state[f"model.{name}"].flatten().tolist() for name in ("mean", "std"))
            share = model.get("preprocessing", {}).get("crop_share", 1.0)  # the first records had no other
            return Preprocessing(
                mean=(r, g, b), std=(sr, sg, sb), image_size=int(model["image_size"]), crop_share=float(share)
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise no_record(self.directory / layout.RECORD, error) from error

    def backbone(self) -> dict[str, Tensor]:
        """The backbone's state, in single precision whatever the run's was."""
        state = {n.removeprefix(BACKBONE): value for n, value in self.state.items() if n.startswith(BACKBONE)}
        return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def read_run(run: Path) -> FinishedRun:
    """Reads a run's record and weights.

    Raises:
        ModelError: no finished run lies there, another version wrote it, or its weights are not those of its record.
    """
    file = run / layout.RECORD
    try:
        record = json.loads(_bounded(file, _RECORD_LIMIT))
        version = record["schema_version"]
        if version != layout.SCHEMA_VERSION:
            raise ModelError(layout.other_version(file, version))
        sha256 = record["weights_sha256"]
        blob = _bounded(run / layout.WEIGHTS, _WEIGHTS_LIMIT)
    except OSError as error:
        unfinished = " (a run that did not finish?)" if (run / layout.CONFIG).exists() else ""
        raise ModelError(f"{run} holds no finished run{unfinished}: {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise no_record(file, error) from error
    try:
        state = dict(from_safetensors(blob))
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{run / layout.WEIGHTS} does not fit its record: {error}") from error
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise ModelError(
            f"{run / layout.WEIGHTS} does not fit its record: its SHA-256 is another one, so it was damaged or replaced"
        )
    return FinishedRun(run, record, state)


def _bounded(file: Path, most: int) -> bytes:
    with file.open("rb") as opened:
        if (size := os.fstat(opened.fileno()).st_size) > most:
            raise ModelError(f"{file} has {size:,} bytes; at most {most:,} are read")
        return opened.read(most)


def no_record(file: Path, error: Exception) -> ModelError:
    """The error for a `record.json` without what a record holds."""
    return ModelError(f"{file} is no record of a run: {type(error).__name__}: {error}")
