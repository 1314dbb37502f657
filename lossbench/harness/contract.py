"""What every loss owes a training program, looked at once before it is relied on: one call on one batch.

The laws judge far more, and take far longer; this is what would otherwise end in a wrong number or an error far away.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import LossbenchError, PluginError, UsageError
from ..losses.base import Loss
from ..losses.weighted_sum import WeightedSum
from ..registry import remedy
from ..types import LossContext, ModelOutput

_CLASSES = 8


def made_batch(context: LossContext) -> tuple[ModelOutput, Tensor]:
    """An ordinary batch for a task: two rows of each of the first eight classes, logits between -1 and 1.

    Args:
        context: of the task.
    """
    classes = min(context.num_classes, _CLASSES)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2 * classes, context.embedding_dim, generator=generator)
    logits = torch.rand(2 * classes, context.num_classes, generator=generator) * 2 - 1
    return ModelOutput(embeddings, logits), torch.arange(2 * classes) % classes


def check_contract(loss: Loss, output: ModelOutput, targets: Tensor, error: type[LossbenchError] = PluginError) -> None:
    """Calls each term once and requires a finite number that depends on the output, and nothing written.

    Args:
        loss: the objective.
        output: of a model; not changed, whatever the loss does.
        targets: (B,).
        error: what is raised.

    Raises:
        LossbenchError: of type `error`, naming the loss, its distribution, and what to change.
    """
    for term in _terms(loss):
        if problem := _problem(term, output, targets):
            name = term.label or type(term).__name__
            raise error(f"{name} can't be trained: {problem}{remedy(name.partition(' of ')[2])}")


def _terms(loss: Loss) -> Iterator[Loss]:
    if isinstance(loss, WeightedSum):
        for term in loss.terms:
            assert isinstance(term, Loss)
            yield from _terms(term)
    else:
        yield loss


def _problem(loss: Loss, output: ModelOutput, targets: Tensor) -> str | None:
    """What is wrong with one call, and what to change; None if nothing is."""
    with torch.enable_grad():  # no leaves: writing to one is an error of torch's own
        given = {
            "embeddings": output.embeddings.detach().requires_grad_().clone(),
            "logits": output.logits.detach().requires_grad_().clone(),
            "targets": targets.clone(),
        }
    state = {**dict(loss.named_parameters()), **dict(loss.named_buffers())}
    kept = {name: tensor.detach().clone() for name, tensor in state.items()}
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            value = loss(ModelOutput(given["embeddings"], given["logits"], output.extras), given["targets"])
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a plugin's own failure, of whatever type
        first = (str(error).splitlines() or [""])[0]
        return (
            f"its forward raised {type(error).__name__}: {first}. It is called as forward(output, targets), here with "
            f"{', '.join(f'{name} {tuple(tensor.shape)}' for name, tensor in given.items())}"
        )
    before = {"embeddings": output.embeddings, "logits": output.logits, "targets": targets}
    return (
        _problem_of_value(value, output)
        or _written("its input", given, before, "compute on copies: no in-place operators on inputs")
        or _written("its state", {**dict(loss.named_parameters()), **dict(loss.named_buffers())}, kept,
                    "move state in update_state, and cast copies")
    )  # fmt: skip


def _problem_of_value(value: object, output: ModelOutput) -> str | None:
    if not isinstance(value, Tensor):
        return f"its forward returned {type(value).__name__}, expected a tensor with one number"
    if value.ndim:
        return (
            f"its forward returned a tensor of shape {tuple(value.shape)}, expected one number. "
            "Take the mean over the rows"
        )
    if not value.requires_grad:
        return (
            "its forward returned a number that does not depend on the model's output. "
            "Look for .detach(), .item(), .data, torch.tensor(...) or no_grad"
        )
    finite = bool(output.embeddings.isfinite().all()) and bool(output.logits.isfinite().all())
    if finite and not bool(value.isfinite()):
        return (
            f"its value is {float(value.detach())} on finite embeddings and logits. "
            "Look for log(0), 0/0 and a square root or norm at zero"
        )
    return None


def _written(what: str, now: dict[str, Tensor], before: dict[str, Tensor], instead: str) -> str | None:
    for name, old in before.items():
        new = now.get(name)
        if new is None or new.dtype is not old.dtype or not torch.allclose(new, old, rtol=0, atol=0, equal_nan=True):
            change = f" ({old.dtype} became {new.dtype})" if new is not None and new.dtype is not old.dtype else ""
            return f"its forward changed {what}, {name}{change}. Forward is pure: {instead}"
    return None
