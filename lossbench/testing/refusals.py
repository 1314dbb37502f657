"""How a refusal is judged: a wrong argument must raise an error with clear words, before anything changes.

Clear words are a ValueError or TypeError that names the argument, or says what was expected and what was found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import brief
from ..loss import Loss
from ..types import ModelOutput
from .trial import Trial
from .violation import Violation

CLEAR = (ValueError, TypeError)


def require_refusal(trial: Trial, what: str, output: ModelOutput, targets: Tensor, words: Sequence[str]) -> None:
    """Require that a call raises a clear error with one of `words` in it, and leaves the state as it was."""
    loss = trial.build(torch.float32)
    before = {name: tensor.detach().clone() for name, tensor in trial.states(loss).items()}
    try:
        value = loss(output, targets)
    except CLEAR as error:
        if not (any(word in str(error).lower() for word in words) or _states_both(str(error))):
            raise Violation(
                f"{what} is refused as {brief(error)}, which names none of {', '.join(words)}",
                silent=False,
            ) from error
    except Exception as error:
        raise Violation(
            f"{what} is refused as {brief(error)}; expected a ValueError or TypeError",
            silent=False,
        ) from error
    else:
        raise Violation(f"{what} is accepted and gives {_shown(value)}, expected a ValueError")
    for name, tensor in trial.states(loss).items():
        if not torch.allclose(tensor, before[name], rtol=0, atol=0, equal_nan=True):
            raise Violation(f"{what} is refused after {name} was changed")


def _states_both(message: str) -> bool:
    """Return whether a message says what was expected and what was found, in whatever words."""
    expected = any(word in message.lower() for word in ("must", "expect", "should", "need", "require", "match"))
    return expected and len(re.findall(r"\d+", message)) > 1


def require_refusal_at_construction(trial: Trial, name: str, value: Any) -> None:
    """Require that constructing the loss raises a clear error that names the hyper-parameter."""
    try:
        loss = trial.build(torch.float32, **{name: value})
    except CLEAR as error:
        if name not in str(error):
            raise Violation(
                f"{name}={value!r} is refused as {brief(error)}, which does not name it",
                silent=False,
            ) from error
    except Exception as error:
        raise Violation(
            f"{name}={value!r} is refused as {brief(error)}; expected a ValueError or TypeError",
            silent=False,
        ) from error
    else:
        raise _accepted(trial, loss, f"{name}={value!r} is accepted at construction")


def _accepted(trial: Trial, loss: Loss, what: str) -> Violation:
    """A hyper-parameter that the first call refuses is refused late; else the loss goes on with it."""
    try:
        value = loss(trial.output(torch.float32), trial.targets)
    except Exception as error:
        late = f"and refused at the first call, as {brief(error)}"
        return Violation(f"{what} {late}; expected a ValueError at construction", silent=False)
    return Violation(f"{what} and gives {_shown(value)}, expected a ValueError")


def _shown(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{float(value):.6g}" if value.numel() == 1 else f"a tensor of shape {tuple(value.shape)}"
