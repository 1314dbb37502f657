"""A finished run as its directory holds it: record and weights, checked against each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from ..errors import ModelError, RecordError
from ..models.preprocessing import Preprocessing
from ..strict_files import check_within
from ..what_is import what_is
from . import layout
from .record import Record, read_record
from .safetensors_header import Header, read_tensor_file

_WEIGHTS_LIMIT = 16 * 2**30  # bytes
BACKBONE, HEAD = "model.backbone.", "model.head.weight"


@dataclass(frozen=True)
class FinishedRun:
    """A run that is finished and whole.

    Attributes:
        directory: where it lies.
        record: content of `record.json`.
        state: of the model ("model.…") and the loss ("loss.…").
    """

    directory: Path
    record: Record
    state: dict[str, Tensor] = field(repr=False)

    def preprocessing(self) -> Preprocessing:
        """Return how the run normalized its images, with the mean and standard deviation of its weights.

        Raises:
            ModelError: the weights lack them, or they are not three finite numbers each.
        """
        model = self.record.model
        try:
            (r, g, b), (sr, sg, sb) = (self.state[f"model.{name}"].flatten().tolist() for name in ("mean", "std"))
            return replace(model.preprocessing, mean=(r, g, b), std=(sr, sg, sb), image_size=model.image_size)
        except (KeyError, ValueError) as error:
            raise ModelError(f"{self.directory / layout.WEIGHTS} does not fit its record: {error}") from error

    def backbone_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the backbone's state."""
        return {n.removeprefix(BACKBONE): tuple(t.shape) for n, t in self.state.items() if n.startswith(BACKBONE)}

    def backbone(self) -> dict[str, Tensor]:
        """The backbone's state, in single precision whatever the run's was."""
        state = {n.removeprefix(BACKBONE): value for n, value in self.state.items() if n.startswith(BACKBONE)}
        return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def read_run(run: Path) -> FinishedRun:
    """Read a run's record and weights.

    Raises:
        RecordError: the directory holds no finished run, or its record is damaged or of another schema version.
        ModelError: its weights are not those of its record.
    """
    try:
        record = read_record(run)
        folder, name = Path(layout.WEIGHTS).parts
        blob, header = read_tensor_file(check_within(run, folder) / name, _WEIGHTS_LIMIT, error=RecordError)
    except RecordError as error:
        if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise
        if (run / layout.RECORD).exists():
            why = " (its weights are missing; the record of an evaluation has none: pass the run that was evaluated)"
        else:
            why = " (an unfinished run?)" if (run / layout.CONFIG).exists() else ""
        raise RecordError(f"{run} holds no finished run{why}: {error}. It is {what_is(run)}") from error
    _check_sizes(run, record, header)
    try:
        state = dict(from_safetensors(blob))
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{run / layout.WEIGHTS} does not fit its record: {error}") from error
    if hashlib.sha256(blob).hexdigest() != record.weights_sha256:
        raise ModelError(
            f"{run / layout.WEIGHTS} does not fit its record: its SHA-256 differs, so it was damaged or replaced"
        )
    return FinishedRun(run, record, state)


def _check_sizes(run: Path, record: Record, header: Header) -> None:
    """Refuse a record that speaks of more classes or wider embeddings than its weights have, before either is built.

    Raises:
        ModelError: saying what differs.
    """
    head = header.tensors.get(HEAD)
    expected = (len(record.data.class_names), record.model.embedding_dim)
    if head is None or head.shape != expected:
        found = "no head" if head is None else f"a head of shape {head.shape}"
        raise ModelError(f"{run / layout.WEIGHTS} does not fit its record: {found}, expected {expected}")
