"""Class weights from class counts.

    w_c = s n_c^-power,   s such that the training set's mean weight, sum_c n_c w_c / N, is 1

power = 1 gives N / (C n_c), "balanced"; 0 gives 1; 0.5 is a common compromise. N_min / n_c and N_max / n_c in the
literature are the same weights up to a constant. The constant matters: it scales the objective relative to weight decay
and to other terms. With a mean of 1, the learning rate of plain softmax remains suitable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import HyperparameterError
from ..ops.function import may_write_in_place
from ..types import LossContext, plain
from .hyperparameters import number
from .per_class import PerClass, drawn_counts


def class_weights(class_counts: tuple[int, ...], power: float = 1.0) -> Tensor:
    """Return weights whose mean over the training set is 1.

    Args:
        class_counts: C positive numbers of training images.
        power: 0 gives all images the same weight, 1 gives all classes the same total weight.

    Returns:
        (C,) float64 weights.

    Example:
        >>> class_weights((900, 90, 10))
        tensor([ 0.3704,  3.7037, 33.3333], dtype=torch.float64)
    """
    counts = torch.tensor(class_counts, dtype=torch.float64, device="cpu")
    raw = counts**-power
    return raw * (counts.sum() / (raw * counts).sum())


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """Return weights by effective number, whose mean over the training set is 1.

        E_c = (1 - beta^n_c) / (1 - beta)        w_c = s / E_c

    beta = 0 gives all images the same weight; as beta approaches 1, w_c approaches N / (C n_c).

    Args:
        counts: (C,) float64, positive training images of each class.
        beta: in [0, 1).

    Returns:
        (C,) float64 weights.

    Example:
        >>> effective_number_weights(torch.tensor([2.0, 1.0], dtype=torch.float64), 0.5)
        tensor([0.8571, 1.2857], dtype=torch.float64)
    """
    # 1 - beta^n without cancellation; beta = 0 gives 1.
    volume = -torch.expm1(counts * math.log(beta)) if beta > 0 else torch.ones_like(counts)
    raw = 1 / volume
    return raw * (counts.sum() / (raw * counts).sum())


class _Kept(NamedTuple):
    """A result of `ClassWeights.share`, with the buffers that it was computed from, and their versions in the key."""

    value: Tensor
    weighs: Tensor
    key: tuple[int, torch.dtype, int, int]
    share: Tensor


def _has_no_version(*tensors: Tensor) -> bool:
    """Return whether a tensor was made in inference mode, where torch does not count changes."""
    return any(tensor.is_inference() for tensor in tensors)


class ClassWeights(PerClass):
    """The weights of a task's classes: by a power of the counts, by effective number, or as given.

    Args:
        context: supplies the class counts.
        power: of `class_weights`.
        weights: C non-negative numbers instead, used as they are.
        beta: of `effective_number_weights` instead, in [0, 1).
        defer: fraction of the epochs in which all weights are 1, in [0, 1]; `begin_epoch` switches them on.

    Raises:
        ContextError: naming the classes without a training image.
        HyperparameterError: a value outside its range, a power so large that float64 cannot hold n_c^-power, or
            weights of another number of classes.
    """

    weighs: Tensor

    def __init__(
        self,
        context: LossContext,
        power: float,
        *,
        weights: Sequence[float] | None = None,
        beta: float | None = None,
        defer: float = 0.0,
    ) -> None:
        super().__init__(_values(context, number("power", power, minimum=0), weights, beta))
        self.defer = number("defer", defer, minimum=0, maximum=1)
        # Only a schedule is state: without one nothing is saved.
        self._kept: _Kept | None = None
        self.register_buffer("weighs", torch.tensor(self.defer == 0), persistent=self.defer > 0)

    def begin_epoch(self, epoch: int, total: int) -> None:
        """Switch the weights on after the deferred fraction of the epochs."""
        self.weighs.fill_(epoch >= self.defer * total)

    def forward(self, dtype: torch.dtype) -> Tensor:
        weight = super().forward(dtype)
        return torch.where(self.weighs, weight, torch.ones_like(weight)) if self.defer > 0 else weight

    def share(self, dtype: torch.dtype, rows: int) -> Tensor:
        """Return the weights divided by a number of rows, (C,): the share of a row of each class in their mean.

        The last result is kept until its buffers change. A training loop asks for the same one in each step.

        Args:
            dtype: dtype of the result.
            rows: B; 0 counts as 1.
        """
        value, weighs = self._buffers["value"], self._buffers["weighs"]  # faster than attributes of a module
        assert value is not None
        assert weighs is not None
        kept = None if torch.compiler.is_compiling() else self._kept
        if (
            kept is not None
            and kept.value is value
            and kept.weighs is weighs
            and kept.key == (rows, dtype, value._version, weighs._version)
        ):
            return kept.share
        share: Tensor = self(dtype) / max(rows, 1)
        if may_write_in_place() and not (share.requires_grad or _has_no_version(share, value, weighs)):
            self._kept = _Kept(value, weighs, (rows, dtype, value._version, weighs._version), share)
        return share

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ClassWeights:
        was_meta = self.weighs.is_meta
        super()._apply(fn, recurse)
        if was_meta and not self.weighs.is_meta:
            self.weighs.fill_(self.defer == 0)
        return self


def _values(context: LossContext, power: float, weights: Sequence[float] | None, beta: float | None) -> Tensor:
    if weights is not None:
        return _given(weights, context.num_classes)
    counts = drawn_counts(context, "class weights")
    if beta is not None:
        return effective_number_weights(counts, number("beta", beta, minimum=0, below=1))
    if float(counts.min()) ** -power < 1e-250:  # weights would be 0/0
        raise HyperparameterError(f"power must be smaller for these class counts, got {power!r}")
    return class_weights(context.class_counts, power)


def _given(weights: object, classes: int) -> Tensor:
    weights = plain(weights)
    if not isinstance(weights, tuple) or len(weights) != classes:
        raise HyperparameterError(f"weights must be a list of {classes} numbers, one per class, got {weights!r}")
    values = [number("each of weights", weight, minimum=0) for weight in weights]
    if not any(values):
        raise HyperparameterError("weights must not all be 0")
    return torch.tensor(values, dtype=torch.float64, device="cpu")
