"""Finiteness: no NaN or infinity where none was given, and none hidden where one was.

Judged in float32, and for bfloat16 and float16 inputs where the loss takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from hypothesis import reject
from torch import Tensor

from ...traits import Need, Trait
from ...types import ModelOutput
from ..cases import Case
from ..configuration import LAST_EPOCH, is_scheduled
from ..law import Group, law
from ..trial import HALF_PRECISIONS, Trial
from ..violation import NotApplicableError, Violation

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
            trial.finite(f"the value of {what} in {_short(dtype)}", value)
            for name, gradient in gradients.items():
                trial.finite(f"the gradient in {name} of {what} in {_short(dtype)}", gradient)
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


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


@law(GROUP, compares=True)
def large_logits(trial: Trial) -> None:
    """Logits of ±1e4 give a finite value within 1e-3 of float64's, and a row that is wrong still has a gradient, unless
    the loss reaches the upper bound that it declares (`Loss.upper_bound`).

    Remedy: use `log_softmax` or `logsumexp`, not `log(softmax(z))`: a saturated log is finite and teaches nothing. A
    loss that is bounded on purpose declares its bound.
    """
    sizes = {"logits": 1e4, "embeddings": 1e4} if "logits" not in trial.reads else {"logits": 1e4}
    if trial.configuration.spec.needs and Need.COSINE_LOGITS in trial.configuration.spec.needs:
        sizes = {}  # a cosine has no large values

    def enlarged(output: ModelOutput) -> ModelOutput:
        for name in set(sizes) & set(trial.reads):
            output = trial.changed(output, lambda t, size=sizes[name]: torch.sign(t) * size, name)  # type: ignore[misc]
        return output

    output, targets = enlarged(trial.output(torch.float32)), trial.targets
    value, gradients = trial.gradients(trial.build(torch.float32), output, targets)
    trial.finite("the value", value)
    for name, gradient in gradients.items():
        trial.finite(f"the gradient in {name}", gradient)
    if "logits" not in trial.reads or not sizes:
        return
    expected = trial.loss(enlarged(trial.output()), targets)
    trial.same("float32 against float64", value, expected, tolerance=1e-3)
    largest = output.logits.max(dim=1).values
    wrong = output.logits.gather(1, targets.unsqueeze(1)).squeeze(1) < largest
    silent = wrong & (gradients["logits"].abs().sum(dim=1) == 0)
    if not bool(silent.any()):
        return
    found = f"row {int(silent.nonzero()[0])} is labelled wrong by 1e4 and its gradient is 0"
    if is_scheduled(trial.loss) and not trial.configuration.late and _teaches_later(trial, output, silent):
        trial.excuse("its gradient is 0 at first and comes with the epochs")
        return
    row = int(silent.nonzero()[0])
    if _has_no_part(trial, row, {}):
        trial.excuse("a row that has no part in the value has no gradient")
        return
    bound = trial.loss.upper_bound
    if bound is None:
        raise Violation(found)
    if (worst := _worst_label(trial)) < 0.999 * bound:
        raise Violation(f"{found}; the bound of {bound:g} does not explain it: no label costs more than {worst:.6g}")


def _teaches_later(trial: Trial, output: ModelOutput, silent: Tensor) -> bool:
    loss = trial.build(torch.float32)
    loss.begin_epoch(*LAST_EPOCH)
    _, gradients = trial.gradients(loss, output, trial.targets)
    return bool((gradients["logits"].abs().sum(dim=1) > 0)[silent].all())


def _worst_label(trial: Trial) -> float:
    """What the most expensive label costs that is wrong by 1e4."""
    classes = len(trial.case.class_counts)
    wrong = 1e4 - 2e4 * torch.eye(classes)
    output, loss = trial.output(torch.float32, trial.case.first_rows(1)), trial.build(torch.float32)
    return max(
        float(loss(output._replace(logits=wrong[c : c + 1]), torch.tensor([c])).detach()) for c in range(classes)
    )


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


@law(GROUP, trait=Trait.SCALE_SAFE, reads=None)
def extreme_norms(trial: Trial) -> None:
    """Rows of length 1e20 or 1e-20 give finite values and gradients in float32, of a scale-invariant loss the value
    of rows of length 1 (trait scale-safe).

    Squares of such numbers do not fit into float32.

    Remedy: divide by the largest entry before squaring, not by max(norm, epsilon), or do not declare the trait.
    """
    names = [
        name for name in trial.reads if name != "logits" or Need.COSINE_LOGITS not in trial.configuration.spec.needs
    ]
    if not names:
        raise NotApplicableError("it reads cosines alone, which have no large values")
    expected = trial.loss(trial.output(), trial.targets).detach()
    same = trial.configuration.declares(Trait.SCALE_INVARIANT) and not trial.lies_on_kink(1e-3)
    for size in (1e20, 1e-20):
        output = trial.changed(trial.output(torch.float32), lambda t, a=size: t * a, *names)  # type: ignore[misc]
        value, gradients = trial.gradients(trial.build(torch.float32), output, trial.targets)
        if same:
            trial.same(f"rows times {size:g} against rows as they are", value, expected, tolerance=1e-3)
        trial.finite(f"the value at {size:g}", value)
        for name, gradient in gradients.items():
            trial.finite(f"the gradient in {name} at {size:g}", gradient)


@law(GROUP)
def nan_surfaces(trial: Trial) -> None:
    """A NaN in a row gives NaN or an error: never a finite loss with NaN gradients, never a batch silently zeroed.

    A guard that looks at the loss alone misses the first; nobody notices the second.

    Remedy: do not select rows by comparisons such as `loss > 0`, which are false for NaN; multiply instead.
    """
    for row in range(len(trial.case.targets)):
        output = trial.changed(trial.output(torch.float32), lambda t, i=row: _poisoned(t, i))  # type: ignore[misc]
        try:
            value, gradients = trial.gradients(trial.build(torch.float32), output, trial.targets)
        except Violation:
            raise
        except Exception:
            continue
        if bool(value.isfinite().all()) and _has_no_part(trial, row, gradients):
            trial.excuse("a row that has no part in the value may hold NaN")
        elif bool(value.isfinite().all()):
            bad = any(bool(gradient.isnan().any()) for gradient in gradients.values())
            raise Violation(
                f"NaN in row {row} gives the value {float(value):.6g}, with "
                f"{'NaN' if bad else 'finite'} gradients; expected NaN or an error"
            )


def _has_no_part(trial: Trial, row: int, gradients: dict[str, Tensor]) -> bool:
    """Return whether value and gradients are the same whatever finite numbers a row holds."""
    rest = [torch.cat([gradient[:row], gradient[row + 1 :]]) for gradient in gradients.values()]
    if not all(bool(gradient.isfinite().all()) for gradient in rest):
        return False
    seen = []
    for factor in (1.0, -3.0, 0.1):

        def moved(tensor: Tensor, factor: float = factor) -> Tensor:
            tensor = tensor.clone()
            tensor[row] = factor * tensor[row].flip(0) + factor
            return tensor

        output = trial.changed(trial.output(torch.float32), moved)
        value, slopes = trial.gradients(trial.build(torch.float32), output, trial.targets)
        if any(bool(slope[row].any()) for slope in slopes.values()):
            return False
        seen.append(float(value))
    return len(set(seen)) == 1


def _poisoned(tensor: Tensor, row: int) -> Tensor:
    tensor = tensor.clone()
    tensor[row, -1] = torch.nan
    return tensor
