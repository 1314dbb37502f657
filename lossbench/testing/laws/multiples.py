"""Size and scale: gradients of a multiple of the loss, and at ties."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...traits import Trait
from ..law import Group, law
from ..trial import Trial, with_tensors
from ..violation import Violation

GROUP: Group = "Calculus"


@law("Size and scale", share=0.2)
def gradient_of_a_multiple(trial: Trial) -> None:
    """The gradient of a multiple of the loss is that multiple of its gradient, in inputs and parameters; backward twice
    gives the same gradient twice. Loss scaling, coefficients and gradient accumulation rely on it.

    Remedy: multiply by `grad_output` in the backward of an `autograd.Function`, and write nothing in place there.
    """
    loss, output, targets = trial.build(), trial.output(), trial.targets
    leaves = [getattr(output, name).clone().requires_grad_() for name in trial.reads]
    leaves += [parameter for parameter in loss.parameters() if parameter.requires_grad]
    value = loss(with_tensors(output, dict(zip(trial.reads, leaves, strict=False))), targets)

    def slopes(factor: float) -> list[Tensor]:
        found = torch.autograd.grad(factor * value, leaves, allow_unused=True, retain_graph=True)
        return [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]

    expected = slopes(1.0)
    for factor in (1.0, 3.0, -0.25, 1024.0):
        for one, other in zip(slopes(factor), expected, strict=True):
            trial.same(f"the gradient of {factor:g} times the loss", one / factor, other)


@law("Size and scale", trait=Trait.CONVEX, reads="logits", excused=Trait.STOP_GRADIENT)
def subgradient_at_ties(trial: Trial) -> None:
    """A convex loss lies above its tangents, at ties of logits and on kinks, too: f(z + d) >= f(z) + g d
    (trait convex).

    Remedy: at a tie, backward passes on the slope of one branch, or a mean of all; a part of it is not a subgradient.
    """
    output, targets = trial.output(), trial.targets
    logits = output.logits
    own = F.one_hot(targets, logits.shape[1]).to(logits)
    true = logits.gather(1, targets.unsqueeze(1))
    generator = torch.Generator().manual_seed(len(targets))
    for tied in (torch.zeros_like(logits), logits.round(), torch.where(logits > true, true, logits)):
        value, gradients = trial.gradients(trial.loss, output._replace(logits=tied), targets)
        slope = gradients["logits"]
        ways = [torch.randn(own.shape, generator=generator).to(logits) for _ in range(3)]
        for way in (own, -own, slope, -slope, *ways):
            step = 0.2 * way
            above = trial.loss(output._replace(logits=tied + step), targets).detach()
            tangent = value + (slope * step).sum()
            if float(tangent - above) > max(1e-9, trial.rounding) * max(1.0, float(value.abs())):
                raise Violation(
                    f"at {tied.tolist()} it lies below its tangent along {way.tolist()}: "
                    f"{float(above):.10g} against {float(tangent):.10g}"
                )
