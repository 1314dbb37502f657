"""What excuses a loss on one batch: the batch lies on a kink, or a row has no part in the value."""

from __future__ import annotations

import torch
from torch import Tensor

from ..traits import Trait
from .trial import Trial, with_tensors


def lies_on_kink(trial: Trial, radius: float) -> bool:
    """Return whether the batch of a trial lies within `radius`, relative, of a kink or a jump of a piecewise loss.

    A piecewise loss has no one gradient there, and rounding decides on which side a batch lies. Near a
    kink, value or gradient differ between the two sides of the batch along some direction, or from those of the
    batch itself. A scale-invariant loss jumps at a row of zeros, which has no direction.
    """
    known, key = trial.configuration.kinks, (trial.case, radius)
    if key not in known:
        known[key] = _lies_on_kink(trial, radius)
    return known[key]


def _lies_on_kink(trial: Trial, radius: float) -> bool:
    output, targets = trial.output(), trial.targets
    if trial.configuration.declares(Trait.SCALE_INVARIANT):
        largest = output.embeddings.abs().amax(dim=1)
        if bool((largest <= radius * largest.max()).any()):
            return True
    if not (trial.configuration.declares(Trait.PIECEWISE) or trial.configuration.undeclared_is_unknown):
        return False
    generator = torch.Generator().manual_seed(len(targets))
    middle = trial.gradients(trial.loss, output, targets)
    size = {name: max(float(getattr(output, name).abs().max()), 1e-3) for name in trial.reads}
    for _ in range(3):
        steps = {
            name: radius * size[name] * torch.randn(getattr(output, name).shape, generator=generator).to(output.logits)
            for name in trial.reads
        }
        sides = [
            trial.gradients(
                trial.loss,
                with_tensors(output, {k: getattr(output, k) + sign * steps[k] for k in trial.reads}),
                targets,
            )
            for sign in (-1, 1)
        ]
        if _jumps(*sides) or _jumps(middle, sides[0]):
            return True
    return False


def _jumps(one: tuple[Tensor, dict[str, Tensor]], other: tuple[Tensor, dict[str, Tensor]]) -> bool:
    largest = max(float(g.abs().max()) for g in (*one[1].values(), *other[1].values()))
    if float((one[0] - other[0]).abs()) > 1e-4 * max(float(one[0].abs()), largest, 1e-6):
        return True
    return any(float((one[1][k] - other[1][k]).abs().max()) > 1e-3 * max(largest, 1e-9) for k in one[1])


def has_no_part(trial: Trial, row: int, gradients: dict[str, Tensor], column: int | None = None) -> bool:
    """Return whether the value is the same whatever finite numbers a row holds, or only its `column`."""
    rest = [torch.cat([gradient[:row], gradient[row + 1 :]]) for gradient in gradients.values()]
    if not all(bool(gradient.isfinite().all()) for gradient in rest):
        return False
    seen = []
    for factor in (1.0, -3.0, 0.1, 30.0, -30.0):

        def moved(tensor: Tensor, factor: float = factor) -> Tensor:
            tensor = tensor.clone()
            if column is None:
                tensor[row] = factor * tensor[row].flip(0) + factor
            else:
                tensor[row, column] = factor
            return tensor

        output = trial.changed(trial.output(torch.float32), moved)
        value, slopes = trial.gradients(trial.build(torch.float32), output, trial.targets)
        own = [slope[row] if column is None else slope[row, column] for slope in slopes.values()]
        if any(bool(slope.any()) for slope in own):
            return False
        seen.append(float(value))
    return len(set(seen)) == 1
