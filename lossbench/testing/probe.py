"""What a loss can take: found once for a configuration, reported by one law, and used by all others.

A probe calls the loss on ordinary batches and never raises what the loss raises. The laws then judge a loss in the
precision, sizes and batches that it takes, so that one cause is one finding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..adapters.specs import ReadingContext, counts_were_read
from ..errors import brief
from ..loss import Loss
from ..types import LossContext, ModelOutput
from .cases import Case, fixed_case
from .generators import seeded

Build = Callable[[LossContext, torch.dtype], Loss]
SMALL_SIZES = tuple((classes, dim) for classes in (2, 3, 4) for dim in (1, 2, 3))
"""(C, D) of the batches that a search draws, plainest first."""


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the exception with which it ended."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        return error


def low_precision(build: Build, output_of: Callable[[torch.dtype], ModelOutput], reads: tuple[str, ...]) -> str | None:
    """Return how a loss shows that it cannot compute in float64, or None if it computes in float64.

    Values that do not change at all along a line on which they change in float32 are computed in float32.
    """
    case = fixed_case()

    def value(dtype: torch.dtype, step: float = 0.0, slope: dict[str, Tensor] | None = None) -> Any:
        output = output_of(dtype)
        if slope:
            moved = {name: getattr(output, name) + step * slope[name] for name in reads}
            output = output._replace(**moved)
        return outcome(lambda: build(case.context, dtype)(output, case.labels()))

    single, double = value(torch.float32), value(torch.float64)
    if not isinstance(single, Tensor):
        return None
    if isinstance(double, BaseException):
        return f"it refuses float64 inputs with {brief(double)}"
    if isinstance(double, Tensor) and double.dtype is not torch.float64:
        return f"float64 inputs give a value in {str(double.dtype).removeprefix('torch.')}"
    generator = torch.Generator().manual_seed(3)
    slope = {name: torch.randn(getattr(output_of(torch.float32), name).shape, generator=generator) for name in reads}
    near = [value(torch.float64, k * 1e-9, slope) for k in range(8)]
    far = value(torch.float64, 1e-2, slope)
    if not all(isinstance(each, Tensor) and bool(each.isfinite().all()) for each in (*near, far)):
        return None
    if all(each.equal(near[0]) for each in near) and not far.equal(near[0]):
        return "float64 inputs that differ by 1e-9 give one value: it computes in float32"
    return None


def accepted_sizes(build: Build, call: Callable[[Case, Loss], Any]) -> tuple[tuple[tuple[int, int], ...], str]:
    """Return the (C, D) that a loss takes among small ones, and the clear refusal of others, or "".

    A refusal is clear if it is a ValueError or TypeError that names one of the sizes; anything else is left to the
    laws to find.
    """
    refusal = ""

    def takes(classes: int, dim: int) -> bool:
        nonlocal refusal
        case = fixed_case(size=2 * classes, classes=classes, dim=dim)
        error = outcome(lambda: call(case, build(case.context, torch.float32)))
        if not (isinstance(error, ValueError | TypeError) and _names_sizes(str(error), classes, dim)):
            return True
        refusal = refusal or f"C = {classes}, D = {dim}: {brief(error)}"
        return False

    found = [size for size in SMALL_SIZES if takes(*size)]
    if len(found) < len(SMALL_SIZES):
        more = [(classes, classes + extra) for classes in (2, 3, 4) for extra in (0, 1, 2) if classes + extra > 3]
        found += [size for size in more if takes(*size)]
    return (tuple(found), refusal) if found else (SMALL_SIZES, "")


def _names_sizes(message: str, classes: int, dim: int) -> bool:
    words = ("class", "dim", "size", "num_", "feature", "embedding")
    return (str(classes) in message or str(dim) in message) and any(word in message.lower() for word in words)


def is_random(build: Build, call: Callable[[Case, Loss], Any]) -> bool:
    """Return whether the value of one batch depends on a global generator."""
    case = fixed_case()
    values = []
    for seed in (1, 2):
        with seeded(seed):
            loss = outcome(lambda: build(case.context, torch.float32))
        if not isinstance(loss, Loss):
            return False
        with seeded(seed + 10):
            values.append(outcome(lambda loss=loss: call(case, loss)))  # type: ignore[misc]
    if not all(isinstance(value, Tensor) for value in values) or values[0].shape != values[1].shape:
        return False
    if torch.allclose(values[0], values[1], rtol=0, atol=0, equal_nan=True):
        return False
    loss = build(case.context, torch.float32)  # drawn at construction or in the call?
    again = []
    for seed in (1, 2):
        with seeded(seed):
            again.append(outcome(lambda: call(case, loss)))
    return not torch.allclose(again[0], again[1], rtol=0, atol=0, equal_nan=True)


def counts_matter(build: Build, call: Callable[[Case, Loss], Any]) -> bool:
    """Return whether a loss reads the class counts and gives another value, gradient or state for other counts."""
    case = fixed_case()
    context = ReadingContext(case.context)
    object.__setattr__(context, "read", False)
    if isinstance(outcome(lambda: build(context, torch.float32)), BaseException):
        return False
    if not counts_were_read(context):
        return False
    found = []
    for counts in (case.class_counts, case.class_counts[::-1]):
        task = LossContext(num_classes=len(counts), embedding_dim=case.embedding_dim, class_counts=counts)
        with seeded(0):
            loss = outcome(lambda task=task: build(task, torch.float32))  # type: ignore[misc]
            value = outcome(lambda loss=loss: call(case, loss))  # type: ignore[misc]
        if not isinstance(value, Tensor):
            return True
        found.append((value, list(loss.state_dict().values())))
    if not torch.allclose(found[0][0], found[1][0], rtol=0, atol=0, equal_nan=True):
        return True
    pairs = zip(found[0][1], found[1][1], strict=True)
    return any(a.shape != b.shape or not torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)
