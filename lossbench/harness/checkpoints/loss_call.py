"""Call a loss on a stored batch, as the run did."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import UsageError
from ...loss import Loss
from ...types import ModelOutput
from .bad_batch import BadBatch


class Evaluated(NamedTuple):
    """The result of the loss for a batch.

    Attributes:
        value: scalar value; None if the loss raised an error.
        embeddings: (B, D) gradient with respect to the embeddings.
        logits: (B, C) gradient with respect to the logits.
        error: message of the error, or an empty string.
    """

    value: float | None
    embeddings: Tensor
    logits: Tensor
    error: str = ""

    def finite(self) -> bool:
        """Whether value and gradients are finite."""
        return (
            self.value is not None
            and math.isfinite(self.value)
            and bool(self.embeddings.isfinite().all() and self.logits.isfinite().all())
        )


def evaluate(loss: Loss, output: ModelOutput, batch: BadBatch, keep: Sequence[int] | None = None) -> Evaluated:
    """Compute value and gradients, micro-batch by micro-batch as in the run.

    Args:
        loss: loss in the desired dtype.
        output: outputs in the desired dtype.
        batch: batch with targets, random state and precision.
        keep: rows to use; None for all.
    """
    rows = torch.arange(len(batch.targets)) if keep is None else torch.tensor(keep, dtype=torch.int64)
    embeddings, logits = (t.detach()[rows].requires_grad_() for t in (output.embeddings, output.logits))
    targets = batch.targets[rows]
    value = torch.zeros((), dtype=torch.float64)
    half = batch.facts["precision"] in ("bf16", "fp16") and output.embeddings.dtype is not torch.float64
    autocast = torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext()
    parts = rows.tensor_split(1) if keep is not None else rows.chunk(batch.facts["micro_batches"])
    try:
        with torch.random.fork_rng(devices=[]), autocast:
            torch.set_rng_state(batch.random_state)
            start = 0
            for part in parts:
                own = slice(start, start + len(part))
                extras = {name: extra[rows][own] for name, extra in output.extras.items()}
                one = loss(ModelOutput(embeddings[own], logits[own], extras), targets[own])
                value = value + one * (len(part) / len(rows))
                start += len(part)
        value.backward()
    except UsageError:
        raise
    except Exception as error:  # errors of third-party losses can have any type
        return Evaluated(None, torch.zeros(0), torch.zeros(0), f"{type(error).__name__}: {error}")
    first, second = (torch.zeros_like(t) if t.grad is None else t.grad for t in (embeddings, logits))
    return Evaluated(float(value.detach()), first, second)


def cast(output: ModelOutput, dtype: torch.dtype) -> ModelOutput:
    extras = {name: value.to(dtype) if value.is_floating_point() else value for name, value in output.extras.items()}
    return ModelOutput(output.embeddings.to(dtype), output.logits.to(dtype), extras)
