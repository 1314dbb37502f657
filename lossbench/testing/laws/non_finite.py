"""Finiteness: numbers at the ends of float32 give finite values, and a NaN is not hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from ...traits import Need, Trait
from ..excuses import has_no_part, lies_on_kink
from ..law import Group, law
from ..trial import Trial
from ..violation import NotApplicableError, Violation

GROUP: Group = "Finiteness"


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
    same = trial.configuration.declares(Trait.SCALE_INVARIANT) and not lies_on_kink(trial, 1e-3)
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
        if bool(value.isfinite().all()) and has_no_part(trial, row, gradients):
            trial.excuse("a row that has no part in the value may hold NaN")
        elif bool(value.isfinite().all()) and has_no_part(trial, row, gradients, column=-1):
            trial.excuse("a number that has no part in the value may be NaN")
        elif bool(value.isfinite().all()):
            bad = any(bool(gradient.isnan().any()) for gradient in gradients.values())
            raise Violation(
                f"NaN in row {row} gives the value {float(value):.6g}, with "
                f"{'NaN' if bad else 'finite'} gradients; expected NaN or an error"
            )


def _poisoned(tensor: Tensor, row: int) -> Tensor:
    tensor = tensor.clone()
    tensor[row, -1] = torch.nan
    return tensor
