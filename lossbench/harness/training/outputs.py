"""The outputs of a model for the micro-batches of a step."""

from __future__ import annotations

import torch

from ...types import ModelOutput


def detached(output: ModelOutput) -> ModelOutput:
    extras = {name: value.detach() for name, value in output.extras.items()}
    return ModelOutput(output.embeddings.detach(), output.logits.detach(), extras)


def first_rows(output: ModelOutput, rows: int | None) -> ModelOutput:
    """Return the first rows of an output; all of them for None."""
    extras = {name: value[:rows] for name, value in output.extras.items()}
    return ModelOutput(output.embeddings[:rows], output.logits[:rows], extras)


def joined(outputs: list[ModelOutput]) -> ModelOutput:
    """Concatenate the outputs of a step's micro-batches."""
    if len(outputs) == 1:
        return outputs[0]
    return ModelOutput(
        torch.cat([o.embeddings for o in outputs]),
        torch.cat([o.logits for o in outputs]),
        {name: torch.cat([o.extras[name] for o in outputs]) for name in outputs[0].extras},
    )
