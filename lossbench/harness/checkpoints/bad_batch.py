"""Write and read the batch at which a run became non-finite, with everything needed to call its loss again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from ... import file_names, files
from ...errors import ContextError, ModelError
from ...runs.inputs import check_bad_batch
from ...runs.json_text import parse
from ...runs.safetensors_header import read_tensor_file
from ...runs.typed_json import Bounds, Count, Positive, plain, read_as
from ...types import LossContext, ModelOutput
from ..task import Task
from ..training.recent import RecentStep
from ..training.trainer import Trainer
from .state import module_state, saved

BAD_BATCH = file_names.BAD_BATCH
SCHEMA_VERSION = 1
_KEY = "lossbench"
_LIMIT = 8 * 2**30  # bytes
_NAMED = 20  # parameters


@dataclass(frozen=True, kw_only=True)
class _Context:
    """The task as its loss knew it."""

    num_classes: Annotated[int, Bounds(2, 2**24)]
    embedding_dim: Annotated[int, Bounds(1, 2**20)]
    class_counts: tuple[Count, ...]
    class_names: tuple[str, ...] = ()
    seed: Count = 0


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """The metadata of a stored batch."""

    schema_version: int
    formula: str
    context: _Context
    epoch: Annotated[int, Bounds(0, 10**6)]
    epochs: Annotated[int, Bounds(1, 10**6)]
    step: Count
    precision: str
    micro_batches: Positive
    sample_ids: tuple[str, ...]
    said: str
    parameters_without_finite_gradient: tuple[str, ...] = ()
    more_such_parameters: Count = 0


@dataclass(frozen=True)
class BadBatch:
    """A stored batch.

    Attributes:
        facts: JSON values: formula, context, step, epoch, precision, sample ids, message.
        output: outputs of the model.
        targets: (B,) targets.
        state: parameters and buffers of the loss before the step, by name.
        random_state: random state of torch before the step.
    """

    facts: dict[str, Any]
    output: ModelOutput = field(repr=False)
    targets: Tensor = field(repr=False)
    state: dict[str, Tensor] = field(repr=False)
    random_state: Tensor = field(repr=False)

    @property
    def context(self) -> LossContext:
        """The context of the loss."""
        given = dict(self.facts["context"])
        return LossContext(**given | {name: tuple(given[name]) for name in ("class_counts", "class_names")})


def write_bad_batch(directory: Path, task: Task, trainer: Trainer, said: str) -> Path | None:
    """Write the batch of the first non-finite step and return its path, or None if it is no longer known.

    Args:
        directory: directory of the run.
        task: task of the run.
        trainer: the stopped trainer, whose weights and loss state are those before the step.
        said: message of the error.
    """
    step = trainer.first_bad_step()
    if step is None:
        return None
    rank = trainer.accelerator.process_index
    path = directory / (BAD_BATCH if rank == 0 else f"bad-batch-process-{rank}.safetensors")
    output, targets, rows = _computed_on(step, trainer)
    tensors = {"embeddings": output.embeddings, "logits": output.logits, "targets": targets}
    tensors |= {"rows": rows, "random_state": step.random_state}
    tensors |= {f"extras.{name}": value for name, value in output.extras.items()}
    tensors |= {f"loss.{name}": value for name, value in module_state(trainer.step.loss).items()}
    metadata = {_KEY: json.dumps(_facts(task, trainer, step, rows, said))}
    files.write_atomically(
        path, lambda file: file.write(to_safetensors(saved(tensors), metadata)), make_directory=False
    )
    return path


def _computed_on(step: RecentStep, trainer: Trainer) -> tuple[ModelOutput, Tensor, Tensor]:
    """Return outputs, targets and rows of the training table that the loss of a step was computed on."""
    if step.of_all is None:
        return step.output, step.targets, step.rows
    return *step.of_all, torch.from_numpy(trainer.batches.global_batches(step.epoch)[step.batch])


def _facts(task: Task, trainer: Trainer, step: RecentStep, rows: Tensor, said: str) -> dict[str, Any]:
    bad = [
        name
        for name, parameter in trainer.step.named_parameters()
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all())
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "formula": str(task.formula),
        "context": asdict(task.context),
        "epoch": step.epoch,
        "epochs": task.config.epochs,
        "step": step.step,
        "precision": task.config.precision,
        "micro_batches": trainer.micro_batches,
        "sample_ids": [task.train.sample_ids[row] for row in rows.tolist()],
        "said": said,
        # If the flag is not read at each step, the message can be of a later step and is then omitted.
        "parameters_without_finite_gradient": bad[:_NAMED] if step is trainer.recent[-1] else [],
        "more_such_parameters": max(len(bad) - _NAMED, 0),
    }


def read_bad_batch(path: Path) -> BadBatch:
    """Read a stored batch; nothing in it is executed.

    Raises:
        ModelError: the file cannot be read or is not a stored batch.
    """
    check_bad_batch(path)
    blob, header = read_tensor_file(path, _LIMIT, error=ModelError, links=True)
    try:
        content = parse(header.metadata[_KEY])
        version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise ModelError(f"{path} has schema version {str(version)[:40]}, this lossbench reads {SCHEMA_VERSION}")
        facts = plain(read_as(_Facts, content))
        tensors = dict(from_safetensors(blob))
        batch = BadBatch(
            facts,
            ModelOutput(tensors["embeddings"], tensors["logits"], _within(tensors, "extras.")),
            tensors["targets"],
            _within(tensors, "loss."),
            tensors["random_state"],
        )
        _check(batch)
        return batch
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is not a {BAD_BATCH} of a run: {type(error).__name__}: {error}") from error


def _within(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _check(batch: BadBatch) -> None:
    """Raise a ValueError if shapes and dtypes do not fit each other and the context."""
    try:
        context = batch.context
    except ContextError as error:
        raise ValueError(str(error)) from error
    rows = len(batch.targets)
    shapes = {"embeddings": (rows, context.embedding_dim), "logits": (rows, context.num_classes)}
    for name, shape in shapes.items():
        tensor = getattr(batch.output, name)
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise ValueError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, expected floating point of {shape}")
    if any(len(extra) != rows for extra in batch.output.extras.values()):
        raise ValueError(f"extras do not have {rows} rows")
    hard = batch.targets.dtype is torch.int64 and batch.targets.ndim == 1
    soft = batch.targets.is_floating_point() and tuple(batch.targets.shape) == shapes["logits"]
    if not (hard or soft) or not rows:
        raise ValueError("targets are neither class numbers nor probabilities of the classes")
    if len(batch.facts["sample_ids"]) != rows:
        raise ValueError(f"{len(batch.facts['sample_ids'])} sample ids for {rows} rows")
    if batch.facts["micro_batches"] > rows:
        raise ValueError(f"{batch.facts['micro_batches']} micro-batches of {rows} rows")
