"""Size and scale: the laws hold for large batches, many classes, real class counts and large values, too.

The searched batches are small. Here some laws are judged once more on fixed batches of 280 rows with 20 or 300 classes,
16 dimensions and class counts from 1 to 134,415, and with logits and embeddings 8 and 40 times as large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch

from ...traits import Need, Trait
from ..applies import reason_to_skip
from ..cases import LARGEST_COUNT, Case, fixed_case
from ..configuration import Configuration
from ..effort import Effort
from ..excuses import lies_on_kink
from ..law import Group, find_law, judge_parts, law
from ..memory import PeakMemory
from ..trial import Trial
from ..violation import NotApplicableError, Violation
from .calculus import slope_along_lines

GROUP: Group = "Size and scale"

SIZES = ((280, 20, 16), (280, 300, 16))
LOOPED = (12, 20, 16)  # a loop over scalars takes too long for more
SCALES = (8, 40)
_FEW_ROWS, _MUCH_BYTES = 40, 32_000_000
# What is judged there: each takes one pass or few, and holds for every batch if it holds at all.
_AT_LARGE = (
    "mean-of-rows",
    "mean-of-shards",
    "order-of-rows",
    "renamed-classes",
    "only-equality-of-labels",
    "shift-of-logits",
    "translation",
    "rotation",
    "scale",
    "larger-true-logit",
    "convex-in-logits",
    "not-negative",
    "upper-bound",
    "repeated-batch",
    "equal-counts-are-no-counts",
    "state-of-absent-class",
    "limits",
    "inputs-are-left-alone",
)
_AT_LARGE_SIZE = (*_AT_LARGE, "half-precision")
_FAR = "float32-far-from-the-origin"
_AT_LARGE_SCALE = (*_AT_LARGE, "naive-loop", "bounded-pull")


def large_case(configuration: Configuration, size: int, classes: int, dim: int) -> Case:
    """Return a batch with very unequal class counts, labelled with the highest class numbers if classes are many."""
    case = fixed_case(size=size, classes=classes, dim=configuration.fitting_dim(classes, dim))
    counts = tuple(1 + int(LARGEST_COUNT / 2.0 ** min(c, 40)) for c in range(classes))
    targets = case.targets if size >= classes else tuple(classes - 1 - 25 * i % classes for i in range(size))
    return replace(case, class_counts=counts, targets=targets)


def scaled_case(factor: int) -> Case:
    """Return an ordinary batch whose logits and embeddings are larger, with confident rows."""
    case = fixed_case()
    larger = [tuple(tuple(factor * value for value in row) for row in rows) for rows in (case.logits, case.embeddings)]
    return replace(case, logits=larger[0], embeddings=larger[1])


def judge_again(
    trial: Trial, names: tuple[str, ...], case: Case, where: str, *, on_kinks: bool = False
) -> Iterator[Callable[[], None]]:
    """Yield the judgements of the laws that apply, on another batch."""
    configuration = trial.configuration
    for name in names:
        each = find_law(name)
        if (
            name in trial.failed
            or (each.trait and not configuration.declares(each.trait))
            or reason_to_skip(configuration, each, Effort())
        ):
            continue
        yield partial(_one_law, trial, name, case, where, on_kinks)


def _one_law(trial: Trial, name: str, case: Case, where: str, on_kinks: bool) -> None:
    each, again = find_law(name), Trial(trial.configuration, case, deep=trial.deep)
    try:
        if each.off_kinks is not None and not on_kinks and lies_on_kink(again, each.off_kinks):
            return
        each.judge(again)
    except NotApplicableError:
        return
    except Violation as violation:
        raise Violation(f"{name}, {where}: {violation}", silent=violation.silent, kind=violation.kind) from violation


@law(GROUP, searched=False)
def large_task(trial: Trial) -> None:
    """What holds for small batches holds for 280 rows of 20 classes in 16 dimensions with class counts from 1 to
    134,415, and for 300 classes: value and gradient are finite, the gradient is the derivative, float32 and half
    precision agree with float64, also far from the origin, and the laws of symmetry and meaning that apply hold. A
    naive loop is compared with on 12 rows of 20 classes in 16 dimensions. A loss that breaks `memory-growth` or
    takes more than 32 MB for 128 rows is judged on 40.

    Remedy: look for integer types that are too small, for a limit on rows, classes or dimensions, for chunks that lose
    the last rows, for counts of pairs and class weights that leave the range of their type, and for `torch.cdist`,
    which cancels digits for more than 25 rows.
    """
    parts: list[Callable[[], None]] = []
    few = "memory-growth" in trial.failed or _needs_much_memory(trial)
    for rows, classes, dim in SIZES:
        case = large_case(trial.configuration, _FEW_ROWS if few else rows, classes, dim)
        where = f"{len(case.targets)} rows, {classes} classes, {dim} dimensions"
        parts.append(partial(is_sound, trial, case, where))
        parts += judge_again(trial, _AT_LARGE_SIZE, case, where)
        parts.append(partial(_far_from_the_origin, trial, case, where))
    case = large_case(trial.configuration, *LOOPED)
    parts += judge_again(trial, ("naive-loop",), case, "{} rows, {} classes, {} dimensions".format(*LOOPED))
    judge_parts(parts)


def _needs_much_memory(trial: Trial) -> bool:
    """Return whether the value of 128 rows takes so much memory that 280 take long."""
    if trial.configuration.declares(Trait.SAMPLEWISE):
        return False
    case = fixed_case(size=128, dim=trial.configuration.fitting_dim(4, 8))
    with torch.no_grad(), PeakMemory() as memory:
        trial.build(torch.float32, case)(trial.output(torch.float32, case), case.labels())
    return bool(memory.peak_bytes > _MUCH_BYTES)


def _far_from_the_origin(trial: Trial, case: Case, where: str) -> None:
    if not _rounding_matters(Trial(trial.configuration, case)):
        judge_parts(judge_again(trial, (_FAR,), case, where, on_kinks=True))


def _rounding_matters(trial: Trial) -> bool:
    """Return whether embeddings that are moved a little change the value: a mined pair may be another one."""
    if not trial.configuration.declares(Trait.TRANSLATION_INVARIANT):
        return True
    noise = 1e-4 * torch.randn(trial.output().embeddings.shape, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        moved = trial.changed(trial.output(), lambda t: t + noise.to(t), "embeddings")
        values = [float(trial.loss(each, trial.targets)) for each in (trial.output(), moved)]
    return abs(values[1] - values[0]) > 3e-4 * abs(values[0])


def is_sound(trial: Trial, case: Case, where: str) -> None:
    """Require a finite value and gradient in float32 that agree with float64, and a true derivative."""
    big = Trial(trial.configuration, case)
    single = big.gradients(big.build(torch.float32), big.output(torch.float32), big.targets)
    big.finite(f"the value, {where}", single[0])
    for name, gradient in single[1].items():
        big.finite(f"the gradient in {name}, {where}", gradient)
    if big.dtype is torch.float64 and not trial.configuration.is_random and not lies_on_kink(big, 1e-4):
        value, gradients = big.gradients(big.loss, big.output(), big.targets)
        big.same(f"float32 against float64, {where}", single[0], value, tolerance=1e-3)
        for name, gradient in gradients.items():
            big.same(f"gradient in {name}, float32 against float64, {where}", single[1][name], gradient, tolerance=1e-2)
    if _gradient_is_judged(trial):
        equal = Trial(trial.configuration, replace(case, class_counts=(40,) * len(case.class_counts)))
        _is_derivative(equal, where)  # with weights of 134,415 : 1 a difference has too few digits


def _gradient_is_judged(trial: Trial) -> bool:
    return not trial.configuration.declares(Trait.STOP_GRADIENT) and "gradient-of-inputs" not in trial.failed


def _is_derivative(trial: Trial, where: str) -> None:
    if not lies_on_kink(trial, 2e-4):
        slope_along_lines(trial, where)


@law(GROUP, searched=False)
def large_values(trial: Trial) -> None:
    """What holds for logits and embeddings of ordinary size holds for ones 8 and 40 times as large, where rows are
    confident: the gradient is the derivative, and the laws of symmetry and meaning that apply hold.

    Remedy: look for clamps, for saturated functions, and for branches on the size of a value.
    """
    if Need.COSINE_LOGITS in trial.configuration.spec.needs:
        raise NotApplicableError("it reads cosines, which have no large values")
    parts: list[Callable[[], None]] = []
    for factor in SCALES:
        case, where = scaled_case(factor), f"values times {factor}"
        if _gradient_is_judged(trial):
            parts.append(partial(_is_derivative, Trial(trial.configuration, case), where))
        # At large values a loop over scalars, too, loses digits.
        names = _AT_LARGE_SCALE if factor == min(SCALES) else _AT_LARGE
        parts += judge_again(trial, names, case, where)
    judge_parts(parts)
