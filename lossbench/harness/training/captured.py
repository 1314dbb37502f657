"""Training steps that are replayed as CUDA graphs: `--compile-mode reduce-overhead`.

The graphs contain the forward pass, the loss and the backward pass; the guard, the optimizer and the loss's state stay
outside. A graph has tensors of fixed sizes in memory of its own, so batches of another size run eagerly, and what is
kept of a step is copied. Without a GPU, torch compiles the step and captures nothing. It has not been run on a GPU yet.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch

from ...data.loading import EpochBatches
from ...runs.options import REDUCE_OVERHEAD, ResolvedConfig
from ...types import ModelOutput


def compile_options(mode: str) -> dict[str, Any]:
    """Return the arguments of `torch.nn.Module.compile` for a mode."""
    return {} if mode == "default" else {"mode": mode, "dynamic": False}


def captured_rows(config: ResolvedConfig, batches: EpochBatches) -> int | None:
    """Return the rows of the micro-batches that are captured, those of a full batch; None if none are.

    Args:
        config: options of the run.
        batches: batches of its epochs.
    """
    if not config.compile or config.compile_mode != REDUCE_OVERHEAD:
        return None
    full = min(config.batch_size, len(batches.table))
    own = batches.sizes(full)[batches.rank]
    return -(-own // config.micro_batches)


def replayed(rows: int, captured: int | None) -> AbstractContextManager[object]:
    """Return the context of a forward pass: eager for rows of another size than the captured ones."""
    if captured is None or rows == captured:
        return contextlib.nullcontext()
    eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return eager


def copied(output: ModelOutput) -> ModelOutput:
    """Return a copy of an output, which the next replay would overwrite."""
    extras = {name: value.clone() for name, value in output.extras.items()}
    return ModelOutput(output.embeddings.clone(), output.logits.clone(), extras)
