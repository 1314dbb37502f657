"""Checks of a loss's arguments: shapes, dtypes and labels.

Shape, rank and dtype are metadata and always checked. Label values are read on the CPU only: on an accelerator that
would synchronize the device, and under `torch.compile` it would break the graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError
from ..types import ModelOutput

_debug = False
SOFT_REMEDY = "pass targets.argmax(dim=1), or use a loss on the logits that takes probabilities, such as softmax"
_SUM_TOLERANCE = 0.01  # of rows in half precision


def debug(enabled: bool = True) -> None:
    """Enable or disable the check of label values on accelerators too, at the cost of one host sync per call."""
    global _debug
    _debug = enabled


def matrix(name: str, value: Tensor, targets: Tensor, columns: int, num_classes: int) -> Tensor:
    """Return `value` in float32 (float64 is kept) after checking the shape and dtype of `value` and `targets`.

    Args:
        name: "logits" or "embeddings", for messages.
        value: (B, columns), floating point.
        targets: (B,), integer.
        columns: required size of the second axis: the number of classes or the embedding size.
        num_classes: exclusive upper bound of labels, if they are read (see `debug`).

    Raises:
        UsageError: naming the argument, what was given and what was expected.
    """
    if not isinstance(targets, Tensor):
        raise UsageError(
            f"targets must be a tensor of class numbers, got {type(targets).__name__}: pass torch.as_tensor(targets)"
        )
    if value.ndim != 2 or value.shape[1] != columns:
        raise UsageError(f"{name} must have shape (B, {columns}), got {tuple(value.shape)}")
    if not value.is_floating_point():
        raise UsageError(f"{name} must be floating point, got {value.dtype}")
    if is_soft(targets):
        raise UsageError(
            f"targets must be class numbers of shape ({value.shape[0]},), got probabilities of shape "
            f"{tuple(targets.shape)}; {SOFT_REMEDY}"
        )
    if targets.ndim != 1 or targets.shape[0] != value.shape[0]:
        raise UsageError(f"targets must have shape ({value.shape[0]},) like {name}, got {tuple(targets.shape)}")
    if targets.is_floating_point() or targets.is_complex() or targets.dtype is torch.bool:
        raise UsageError(f"targets must be class numbers of type int64, got {targets.dtype}")
    if _debug and not torch.compiler.is_compiling():
        check_target_range(targets, num_classes)
    return value if value.dtype is torch.float32 or value.dtype is torch.float64 else value.float()


def is_soft(targets: object) -> bool:
    """Return whether targets are probabilities, (B, C), rather than class numbers."""
    return isinstance(targets, Tensor) and targets.ndim == 2 and targets.is_floating_point()


def check_soft_targets(logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Return logits in float32 (float64 is kept) after checking them and (B, C) probabilities.

    Raises:
        UsageError: naming the argument and, on the CPU, the first row that is not a distribution.
    """
    if logits.ndim != 2 or logits.shape[1] != num_classes:
        raise UsageError(f"logits must have shape (B, {num_classes}), got {tuple(logits.shape)}")
    if not logits.is_floating_point():
        raise UsageError(f"logits must be floating point, got {logits.dtype}")
    if targets.shape != logits.shape:
        raise UsageError(
            f"soft targets must have the shape {tuple(logits.shape)} of logits, got {tuple(targets.shape)}"
        )
    if values_are_readable(targets) or (_debug and not torch.compiler.is_compiling()):
        wide = targets.detach().double()
        # Written so that NaN is wrong, too.
        wrong = ~((wide.min(dim=1).values >= 0) & ((wide.sum(dim=1) - 1).abs() <= _SUM_TOLERANCE))
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise UsageError(
                f"soft targets must be probabilities that sum to 1 in each row; row {row} sums to "
                f"{float(wide[row].sum()):.6g} with a minimum of {float(wide[row].min()):.6g}"
            )
    return logits if logits.dtype is torch.float64 else logits.float()


def output_of(given: object) -> ModelOutput:
    """Return a model's output as a `ModelOutput`: a pair or triple becomes one, and other outputs pass as they are.

    Args:
        given: a `ModelOutput`, a tuple (embeddings, logits), logits alone, or an object with one of the two as an
            attribute, such as an output of transformers.
    """
    if isinstance(given, tuple | list) and not hasattr(given, "_fields") and len(given) in (2, 3):
        return ModelOutput(*given)
    return given  # type: ignore[return-value]  # the functions below report what is missing


def logits_of(given: object, reader: str = "the loss") -> Tensor:
    """Return the logits of a model's output, or logits that were passed alone.

    Raises:
        UsageError: the output has no logits; the message says what to pass.
    """
    return _part(given, "logits", reader, "logits alone, ")


def embeddings_of(given: object, reader: str = "the loss") -> Tensor:
    """Return the embeddings of a model's output.

    Raises:
        UsageError: the output has no embeddings; the message says what to pass.
    """
    return _part(given, "embeddings", reader, "")


def _part(given: object, name: str, reader: str, alone: str) -> Tensor:
    if alone and isinstance(given, Tensor):
        return given
    found = getattr(given if type(given) is ModelOutput else output_of(given), name, None)
    if not isinstance(found, Tensor):
        what = f"logits of shape {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise UsageError(
            f"{reader} reads {name} and got {what}; pass {alone}lossbench.ModelOutput(embeddings, logits), or build it "
            "with lossbench.attach(...), which takes embeddings from the input of the head"
        )
    return found


def check_target_range(targets: Tensor, num_classes: int) -> None:
    """Read the labels and refuse one outside [0, num_classes).

    Raises:
        UsageError: naming the first such label and its row.
    """
    wrong = (targets < 0) | (targets >= num_classes)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        hint = " (-100 does not mean 'ignore' here: drop such rows)" if int(targets[row]) == -100 else ""
        raise UsageError(f"targets must lie in [0, {num_classes}), got {int(targets[row])} in row {row}{hint}")


def refuse_out_of_range(targets: Tensor, num_classes: int) -> None:
    """Call `check_target_range` if values are readable; valid labels cost one small operator.

    Raises:
        UsageError: naming the first such label and its row.
    """
    if values_are_readable(targets):
        try:
            targets.new_empty(num_classes).index_select(0, targets.long())  # raises, and gives no number to wait for
        except IndexError:
            check_target_range(targets, num_classes)
            raise


def values_are_readable(targets: Tensor) -> bool:
    """Return whether label values may be read: on the CPU and outside `torch.compile`."""
    return targets.device.type == "cpu" and not torch.compiler.is_compiling()
