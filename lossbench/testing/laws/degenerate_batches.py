"""Finiteness: batches of zeros, of equal rows, of one class, of one row or of none give finite numbers.

Judged in float32, and for bfloat16 and float16 inputs if the loss takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from hypothesis import reject
from torch import Tensor

from ...traits import Need, Trait
from ..cases import Case
from ..law import Group, law
from ..trial import HALF_PRECISIONS, Trial, dtype_name
from ..violation import Violation

GROUP: Group = "Finiteness"


def _judge(trial: Trial, case: Case, change: Callable[[Tensor], Tensor], what: str) -> None:
    """The value and gradients of a changed batch are finite, in float32 and in half precision."""
    for dtype in (torch.float32, *HALF_PRECISIONS):
        output = trial.changed(trial.output(dtype, case), change)
        loss = trial.build(torch.float32, case)
        try:
            value, gradients = trial.gradients(loss, output, case.labels())
        except Violation:
            raise
        except Exception:
            if dtype is torch.float32:
                raise
            continue  # `half-precision` judges whether a loss takes it
        try:
            trial.finite(f"the value of {what} in {dtype_name(dtype)}", value)
            for name, gradient in gradients.items():
                trial.finite(f"the gradient in {name} of {what} in {dtype_name(dtype)}", gradient)
        except Violation:
            if dtype is not torch.float16 or not (largest := _beyond_float16(trial, case, change)):
                raise
            trial.excuse(f"value or gradient reach {largest:.3g}, beyond the range of float16")


def _beyond_float16(trial: Trial, case: Case, change: Callable[[Tensor], Tensor]) -> float | None:
    """Return the largest entry of value and gradient in float32, if float16 cannot hold it."""
    output = trial.changed(trial.output(torch.float32, case), change)
    value, gradients = trial.gradients(trial.build(torch.float32, case), output, case.labels())
    largest = max([float(value.abs()), *(float(g.abs().max()) for g in gradients.values() if g.numel())])
    return largest if 65_504 < largest < float("inf") else None


def _judge_without_zero_rows(trial: Trial, case: Case, change: Callable[[Tensor], Tensor], what: str) -> None:
    """Judge as `_judge` does, but leave batches with zero rows to `one-zero-row`."""
    output = case.output()
    if any(bool((getattr(output, name) == 0).all(dim=1).any()) for name in trial.reads):
        reject()
    _judge(trial, case, change, what)


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


@law(GROUP)
def all_zero(trial: Trial) -> None:
    """All inputs zero: value and gradients are finite.

    Remedy: guard divisions, norms and square roots at zero, on the inside of the `where`.
    """
    _judge(trial, trial.case, torch.zeros_like, "a batch of zeros")


@law(GROUP)
def one_zero_row(trial: Trial) -> None:
    """One row exactly zero: value and gradients are finite; a loss that normalises gives that row the gradient 0.

    Its direction is undefined, and 1/eps of `F.normalize` sends the next optimizer step to 1e12. No bound can be
    asked for at small norms that are not zero: scale invariance forbids one.

    Remedy: give a zero row a zero unit vector: `torch.where(norm > 0, x / norm, 0 * x)`, with a safe norm inside.
    """

    def zero_first(tensor: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(tensor[:1]), tensor[1:]])

    if "embeddings" in trial.reads and trial.configuration.declares(Trait.SCALE_INVARIANT):
        output = trial.changed(trial.output(torch.float32), zero_first, "embeddings")
        _, gradients = trial.gradients(trial.build(torch.float32), output, trial.targets)
        largest = float(gradients["embeddings"][0].abs().max())
        if largest > 0:
            raise Violation(f"the gradient of a zero row is {largest:.3g} under normalisation, expected 0")
    _judge(trial, trial.case, zero_first, "a batch with a zero row")


@law(GROUP)
def equal_rows(trial: Trial) -> None:
    """All rows equal: value and gradients are finite.

    Remedy: the gradient of a distance is 0 at distance 0; guard the square root.
    """
    _judge_without_zero_rows(trial, trial.case, lambda t: t[:1].expand_as(t).clone(), "equal rows")


@law(GROUP)
def one_class(trial: Trial) -> None:
    """Only one class in the batch: value and gradients are finite.

    Remedy: where a loss has nothing to compare, give a zero connected to the graph, such as `0 * inputs.sum()`.
    """
    case = trial.case
    _judge_without_zero_rows(
        trial, case.with_targets((case.targets[0],) * len(case.targets)), _unchanged, "a single class"
    )


@law(GROUP)
def all_classes_distinct(trial: Trial) -> None:
    """No two rows of one class: value and gradients are finite.

    Remedy: as for one class.
    """
    classes = len(trial.case.class_counts)
    case = trial.case.first_rows(classes)
    _judge_without_zero_rows(
        trial, case.with_targets(tuple(range(len(case.targets)))), _unchanged, "rows of distinct classes"
    )


@law(GROUP)
def batch_of_one(trial: Trial) -> None:
    """A batch of one row: value and gradients are finite.

    Remedy: statistics over a batch need a guard for one row.
    """
    _judge_without_zero_rows(trial, trial.case.first_rows(1), _unchanged, "a batch of one")


@law(GROUP, searched=False)
def empty_batch(trial: Trial) -> None:
    """An empty batch gives a zero connected to the graph, or a ValueError; never NaN.

    Remedy: `total / max(len(targets), 1)` instead of `.mean()`.
    """
    case = trial.case.first_rows(0)
    loss, output = trial.build(torch.float32, case), trial.output(torch.float32, case)
    try:
        with _unwritten_memory_is_nan():
            value, _ = trial.gradients(loss, output, case.labels())
    except ValueError:
        return
    if value.numel() != 1 or float(value) != 0:
        raise Violation(f"an empty batch gives {value.tolist()}, expected 0 or a ValueError")


@contextmanager
def _unwritten_memory_is_nan() -> Iterator[None]:
    """Fill memory that an operator returns without writing to it with NaN, instead of what lay there before."""
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)


@law(GROUP)
def absent_class(trial: Trial) -> None:
    """A class without a row in the batch: value and gradients are finite. Nor do they suffer from a class without a
    training image, unless that is refused with a ValueError.

    Remedy: means over a class need a guard for no row, and class weights one for no image.
    """
    last = len(trial.case.class_counts) - 1
    targets = tuple(min(target, last - 1) for target in trial.case.targets)
    case = trial.case.with_targets(targets)
    _judge_without_zero_rows(trial, case, _unchanged, "a batch without the last class")
    if Need.CLASS_COUNTS in trial.configuration.spec.needs:
        case = replace(case, class_counts=(*case.class_counts[:-1], 0))
        try:
            trial.build(torch.float32, case)
        except ValueError:
            return
        _judge(trial, case, _unchanged, "a batch without the last class, which has no training image either")
