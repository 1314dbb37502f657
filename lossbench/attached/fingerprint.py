"""What a saved state belongs to: formula, sizes and class counts."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from ..types import LossContext


def fingerprint(formula: str, context: LossContext) -> Tensor:
    """Return formula, sizes and class counts as bytes in a tensor, which every format of checkpoints can hold."""
    return torch.tensor(list(json.dumps(_content(formula, context)).encode()), dtype=torch.uint8, device="cpu")


def check_fingerprint(found: Any, formula: str, context: LossContext) -> None:
    """Compare the fingerprint of a saved state with a loss.

    Raises:
        UsageError: the state belongs to another loss, or to other class counts.
    """
    try:
        content = dict(json.loads(bytes(found.tolist())))
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError("the fingerprint of this state is damaged: load a state_dict() of an attached loss") from error
    for name, expected in _content(formula, context).items():
        if content.get(name) != expected:
            raise UsageError(
                f"this state belongs to another loss: its {name} is {content.get(name)}, and here it is {expected}"
            )


def _content(formula: str, context: LossContext) -> dict[str, Any]:
    return {
        "formula": formula,
        "class_counts": list(context.class_counts),
        "embedding_dim": context.embedding_dim,
    }
