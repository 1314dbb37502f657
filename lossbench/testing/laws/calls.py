"""Systems: repeated calls agree, keep no tensors, and need no more memory than declared."""

from __future__ import annotations

import gc
import math
import weakref

import torch
from torch import Tensor

from ...adapters import AdaptedLoss
from ...traits import Trait
from ..cases import fixed_case
from ..configuration import Configuration
from ..generators import states
from ..law import Group, law
from ..memory import PeakMemory
from ..trial import Trial, same_bits
from ..violation import Violation

GROUP: Group = "Systems"


@law(GROUP, searched=True, share=0.4)
def deterministic(trial: Trial) -> None:
    """Two calls give the same bits, whatever was called between, and no random number is drawn.

    Remedy: draw from a generator of the loss's own in `__init__`; keep nothing between calls of forward.
    """
    loss = trial.configuration.plain_build(trial.case.context, torch.float32)
    output, targets = trial.output(torch.float32), trial.targets
    before = states()
    first = loss(output, targets).detach().clone()
    loss(trial.changed(output, lambda t: 1 - 2 * t), targets.flip(0))
    second = loss(output, targets).detach()
    if not same_bits(first, second):
        drawn = ", and draws random numbers" if before != states() else ""
        raise Violation(f"the same batch gives {float(first):.8g}, and later {float(second):.8g}{drawn}")
    if before != states():
        raise Violation("forward draws random numbers")


@law(GROUP, searched=False)
def nothing_gathers(trial: Trial) -> None:
    """Over 30 steps no live tensors gather.

    Remedy: detach what is kept, and keep a fixed number of it.
    """
    loss, output, targets = trial.build(torch.float32), trial.output(torch.float32), trial.targets

    def steps(number: int) -> list[weakref.ref[Tensor]]:
        kept = []
        for _ in range(number):
            fresh = trial.changed(output, lambda t: t.clone().requires_grad_())
            value = loss(fresh, targets)
            if value.requires_grad:
                value.backward()
            loss.update_state(trial.changed(fresh, Tensor.detach), targets)
            kept.append(weakref.ref(value))
        return kept

    def live() -> int:
        gc.collect()
        return sum(issubclass(type(each), Tensor) for each in gc.get_objects())

    gc.freeze()  # what is there already need not be walked
    try:
        steps(3)
        before = live()
        values = steps(30)
        grown = live() - before
    finally:
        gc.unfreeze()
    alive = sum(ref() is not None for ref in values)
    if grown > 5 or alive > 1:
        raise Violation(f"after 30 steps {grown} more tensors live, {alive} of them values of earlier steps")


def _lists_triplets(configuration: Configuration) -> str | None:
    if isinstance(configuration.specimen, AdaptedLoss) and configuration.specimen.form == "triplets":
        return "it is given every triplet of the batch, a list that grows as B^3"
    return None


@law(GROUP, searched=False, unless=_lists_triplets)
def memory_growth(trial: Trial) -> None:
    """Peak memory of forward and backward grows in the batch no faster than linearly, or quadratically for losses
    declared batch-coupled.

    Remedy: do not list pairs or triplets; sort and count, or work in chunks.
    """
    declared = 2 if trial.configuration.declares(Trait.BATCH_COUPLED) else 1
    exponent, (sizes, peaks) = growth_of_memory(trial)
    if exponent > declared + 0.3:
        raise Violation(
            f"peak memory grows as B^{exponent:.2f} ({peaks[0]:,} bytes at B = {sizes[0]}, {peaks[1]:,} at "
            f"{sizes[1]}), expected at most B^{declared}"
        )


def growth_of_memory(trial: Trial) -> tuple[float, tuple[tuple[int, ...], list[int]]]:
    """The power of B with which the peak memory of forward and backward grows, and the sizes and bytes it is from."""
    sizes, peaks = (32, 128), []
    for size in sizes:
        case = fixed_case(size=size, dim=8)
        loss, output = trial.build(torch.float32, case), case.output(torch.float32)
        with PeakMemory() as memory:
            trial.gradients(loss, output, case.labels())
        peaks.append(memory.peak_bytes)
    return math.log(peaks[1] / max(peaks[0], 1)) / math.log(sizes[1] / sizes[0]), (sizes, peaks)


@law(GROUP, compares=True)
def strided_inputs_without_gradients(trial: Trial) -> None:
    """Inputs that are not contiguous, and `inference_mode`, give the same value.

    Remedy: `reshape` instead of `view`; no custom write that needs a version counter.
    """
    output, targets = trial.output(), trial.targets
    expected = trial.loss(output, targets)
    # By columns, and as a part of wider rows: what `view` cannot flatten.
    for strided in (lambda t: t.T.contiguous().T, lambda t: torch.cat([t, t], dim=1)[:, : t.shape[1]]):
        trial.same("strided inputs", trial.loss(trial.changed(output, strided), targets), expected)
    for labels in (torch.stack([targets, targets], dim=1)[:, 0], targets.repeat_interleave(2)[::2]):
        trial.same("strided labels", trial.loss(output, labels), expected)
    with torch.inference_mode():
        inside = trial.loss(trial.changed(output, lambda t: t.clone()), targets.clone())
        trial.same("in inference_mode", inside, expected)


@law(GROUP)
def one_number(trial: Trial) -> None:
    """forward returns one number, a tensor without axes.

    Remedy: `.mean()` over the rows.
    """
    value = trial.loss(trial.output(), trial.targets)
    if not isinstance(value, Tensor) or value.ndim:
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise Violation(f"forward returned {got}, expected one number")
