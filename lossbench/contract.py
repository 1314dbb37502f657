"""Check a loss once before it is trained: one call of each of its terms on one batch.

The laws test far more and take far longer. This finds what would otherwise end in a wrong number or a distant error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor

from . import time_limit as limits
from .errors import LossbenchError, PluginError, UsageError, brief
from .loss import Loss
from .registry import remedy
from .types import LossContext, ModelOutput

_CLASSES = 8
_DETACHED = (
    "its forward returned a number that does not depend on the model's output. "
    "Look for .detach(), .item(), .data, torch.tensor(...) or no_grad"
)


def made_batch(context: LossContext) -> tuple[ModelOutput, Tensor]:
    """Return an ordinary batch for a task: two rows of each of the first eight classes, logits between -1 and 1.

    Args:
        context: the task.
    """
    classes = min(context.num_classes, _CLASSES)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2 * classes, context.embedding_dim, generator=generator)
    logits = torch.rand(2 * classes, context.num_classes, generator=generator) * 2 - 1
    return ModelOutput(embeddings, logits), torch.arange(2 * classes) % classes


def check_contract(loss: Loss, output: ModelOutput, targets: Tensor, error: type[LossbenchError] = PluginError) -> None:
    """Require of one call of each term a finite value that depends on the output, a finite gradient, and no write.

    Args:
        loss: the objective.
        output: output of a model; it stays unchanged even if the loss writes to its input.
        targets: (B,).
        error: type of the error.

    Raises:
        LossbenchError: of type `error`, naming the loss, its distribution, and what to change.
    """
    for term in _terms(loss):
        with _limited(term, "its first call"):
            problem = _problem(term, output, targets)
        if problem:
            raise error(_refusal(term, problem))


def _limited(loss: Loss, call: str) -> AbstractContextManager[None]:
    """Return a context that names the loss if a call of it hangs."""
    seconds = limits.TRIAL_SECONDS
    return limits.time_limit(seconds, PluginError(_refusal(loss, f"{call} did not end within {seconds:g} s")))


def _terms(loss: Loss) -> Iterator[Loss]:
    """Yield the losses of an objective that are not sums themselves."""
    for term in loss.terms():
        if term.loss is loss:
            yield loss
        else:
            yield from _terms(term.loss)


def check_hooks(loss: Loss, output: ModelOutput, targets: Tensor) -> None:
    """Call the other hooks of each term that a run calls: begin_epoch, scores, update_state, param_groups.

    Args:
        loss: an objective that is not used afterwards, because its state moves.
        output: output of a model.
        targets: (B,).

    Raises:
        PluginError: naming the loss, its distribution, and what to change.
    """
    detached = ModelOutput(output.embeddings.detach().clone(), output.logits.detach().clone(), output.extras)
    for term in _terms(loss):
        hooks: dict[str, Callable[[], object]] = {
            "begin_epoch(epoch, total)": partial(term.begin_epoch, 0, 1),
            "scores(output)": partial(_scores, term, detached),
            "update_state(output, targets)": partial(term.update_state, detached, targets.clone()),
            "param_groups()": lambda term=term: [group["params"] for group in term.param_groups()],  # type: ignore[misc]
        }
        for call, hook in hooks.items():
            try:
                with _limited(term, call):
                    hook()
            except PluginError:
                raise
            except (Exception, SystemExit) as error:  # a plugin's own failure, of whatever type
                raise PluginError(_refusal(term, f"{call} of it raised {brief(error)}")) from error


def _scores(loss: Loss, output: ModelOutput) -> None:
    scores, expected = loss.scores(output), tuple(output.logits.shape)
    if not isinstance(scores, Tensor) or tuple(scores.shape) != expected:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"the scores must be a tensor of shape {expected}, one number a row and class, got {found}")


def _refusal(loss: Loss, problem: str) -> str:
    name = loss.label or type(loss).__name__
    return f"{name} cannot be trained: {problem}{remedy(name.partition(' of ')[2])}"


def _problem(loss: Loss, output: ModelOutput, targets: Tensor) -> str | None:
    """Return the problem with one call and its remedy, or None."""
    with torch.enable_grad():
        leaves = [output.embeddings.detach().requires_grad_(), output.logits.detach().requires_grad_()]
        # No leaves: writing to one is an error of torch's own.
        given = {"embeddings": leaves[0].clone(), "logits": leaves[1].clone(), "targets": targets.clone()}
    kept = {name: tensor.detach().clone() for name, tensor in _state(loss).items()}
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            value = loss(ModelOutput(given["embeddings"], given["logits"], output.extras), given["targets"])
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a plugin's own failure, of whatever type
        return (
            f"its forward raised {brief(error)}. It is called as forward(output, targets), here with "
            f"{', '.join(f'{name} {tuple(tensor.shape)}' for name, tensor in given.items())}"
        )
    before = {"embeddings": output.embeddings, "logits": output.logits, "targets": targets}
    return (
        _problem_of_value(value, output)
        or _written("its input", given, before, "compute on copies: no in-place operators on inputs")
        or _written("its state", _state(loss), kept, "move state in update_state, and cast copies")
        or _problem_of_gradient(value, leaves)
    )


def _state(loss: Loss) -> dict[str, Tensor]:
    return {**dict(loss.named_parameters()), **dict(loss.named_buffers())}


def _problem_of_value(value: object, output: ModelOutput) -> str | None:
    if not isinstance(value, Tensor):
        return f"its forward returned {type(value).__name__}, expected a tensor with one number"
    if value.ndim:
        return (
            f"its forward returned a tensor of shape {tuple(value.shape)}, expected one number. "
            "Take the mean over the rows"
        )
    if not value.requires_grad:
        return _DETACHED
    if _is_finite(output.embeddings) and _is_finite(output.logits) and not _is_finite(value):
        return (
            f"its value is {float(value.detach())} on finite embeddings and logits. "
            "Look for log(0), 0/0 and a square root or norm at zero"
        )
    return None


def _problem_of_gradient(value: Tensor, leaves: list[Tensor]) -> str | None:
    try:
        gradients = torch.autograd.grad(value, leaves, allow_unused=True, retain_graph=True)
    except Exception as error:  # as above
        return f"its backward raised {brief(error)}"
    found = [gradient for gradient in gradients if gradient is not None]
    if not found:
        return _DETACHED
    # In half precision a gradient may overflow; the gradient scaler is there for that.
    full = all(leaf.dtype is not torch.float16 and _is_finite(leaf) for leaf in leaves)
    if full and not all(map(_is_finite, found)):
        return (
            "its gradient is not finite on finite embeddings and logits. "
            "Look for a square root or norm at zero, and for torch.where around an infinite branch"
        )
    return None


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _written(what: str, now: dict[str, Tensor], before: dict[str, Tensor], instead: str) -> str | None:
    for name, old in before.items():
        new = now.get(name)
        if new is None or new.dtype is not old.dtype or not torch.allclose(new, old, rtol=0, atol=0, equal_nan=True):
            change = f" ({old.dtype} became {new.dtype})" if new is not None and new.dtype is not old.dtype else ""
            return f"its forward changed {what}, {name}{change}. Forward is pure: {instead}"
    return None
