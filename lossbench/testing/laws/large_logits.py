"""Finiteness: very large logits give a finite value, and still a gradient. Most is judged in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from ...loss import Loss
from ...traits import Need, Trait
from ...types import ModelOutput
from ..configuration import LAST_EPOCH, is_scheduled
from ..excuses import has_no_part
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Finiteness"
_MOST_ROWS = 2  # of a batch: each takes two dozen gradients


@law(GROUP, compares=True)
def large_logits(trial: Trial) -> None:
    """Logits of ±1e4 give a finite value within 1e-3 of float64's, and a row that is wrong still has a gradient, unless
    the loss reaches the upper bound that it declares (`Loss.upper_bound`). Cosines of ±1 give a finite value and
    gradient, and a row with cosines of ±0.99 that are wrong has a gradient. The gradient of an embedding does not
    end suddenly on the way to ±1e4 while the cost rises, if the loss is declared samplewise.

    Remedy: use `log_softmax` or `logsumexp`, not `log(softmax(z))`: a saturated log is finite and teaches nothing. A
    loss that is bounded on purpose declares its bound. `acos` and `sqrt(1 - cos²)` have no derivative at ±1. Do not
    clamp where a row is still wrong.
    """
    sizes = {"logits": 1e4, "embeddings": 1e4} if "logits" not in trial.reads else {"logits": 1e4}
    cosines = Need.COSINE_LOGITS in trial.configuration.spec.needs
    if cosines:
        sizes = {"logits": 1.0}

    def enlarged(output: ModelOutput) -> ModelOutput:
        for name in set(sizes) & set(trial.reads):
            output = trial.changed(output, lambda t, size=sizes[name]: torch.sign(t) * size, name)  # type: ignore[misc]
        return output

    output, targets = enlarged(trial.output(torch.float32)), trial.targets
    value, gradients = trial.gradients(trial.build(torch.float32), output, targets)
    trial.finite("the value", value)
    for name, gradient in gradients.items():
        trial.finite(f"the gradient in {name}", gradient)
    if "logits" not in trial.reads:
        if trial.configuration.declares(Trait.SAMPLEWISE):
            _no_flat_embedding(trial, gradients["embeddings"])
        return
    if cosines:
        _no_flat_cosine(trial)
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
    if has_no_part(trial, row, {}):
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


def _no_flat_cosine(trial: Trial) -> None:
    """Require a gradient of rows whose own cosine is -0.99 and whose others are 0.99."""
    classes, loss = len(trial.case.class_counts), trial.build(torch.float32)
    own, labels = torch.eye(classes), torch.arange(classes)
    right = ModelOutput(torch.zeros(classes, trial.case.embedding_dim), 0.99 * (2 * own - 1))
    cost, gradients = trial.gradients(loss, right._replace(logits=-right.logits), labels)
    silent = gradients["logits"].abs().sum(dim=1) == 0
    if loss.upper_bound is None and bool(silent.any()) and float(cost) > float(loss(right, labels).detach()):
        raise Violation(f"a row of class {int(silent.nonzero()[0])} with wrong cosines of ±0.99 has the gradient 0")


def _no_flat_embedding(trial: Trial, gradient: Tensor) -> None:
    """Require that the gradient of a row does not end suddenly on the way from its ordinary size to 1e4, while the cost
    rises; one that fades, as that of a Gaussian, is the loss's own.
    """
    loss = trial.build()  # in float32 the difference of two large distances is lost to rounding
    if loss.upper_bound is not None:
        return
    for row in (gradient.abs().sum(dim=1) == 0).nonzero().flatten().tolist()[:_MOST_ROWS]:
        near, slope = _alone(trial, loss, row, 1.0)
        if not slope or _alone(trial, loss, row, 1e4)[1]:
            continue
        reached, flat = 1.0, 1e4
        for _ in range(20):
            middle = (reached * flat) ** 0.5
            reached, flat = (middle, flat) if _alone(trial, loss, row, middle)[1] else (reached, middle)
        far, last = _alone(trial, loss, row, reached)
        if last > 1e-2 * slope and far > near:
            raise Violation(
                f"the embedding in row {row} times {flat:.4g} costs {far:.6g} ({near:.6g} times 1), and its gradient "
                "is 0 there and beyond"
            )


def _alone(trial: Trial, loss: Loss, row: int, factor: float) -> tuple[float, float]:
    """Return the cost of a row times a factor, and the norm of its gradient."""
    output = trial.output()
    alone = trial.changed(output, lambda t: factor * t[row : row + 1], "logits", "embeddings")
    value, gradients = trial.gradients(loss, alone, trial.targets[row : row + 1])
    return float(value), float(gradients["embeddings"].norm())


def _worst_label(trial: Trial) -> float:
    """Return the cost of the most expensive row whose label is wrong by 1e4: against all other classes, or one."""
    classes = len(trial.case.class_counts)
    away, output, loss = 1e4 - 2e4 * torch.eye(classes), trial.output(torch.float32), trial.build(torch.float32)
    wrong = [(c, row) for c in range(classes) for row in (away[c], *(-away[k] for k in range(classes) if k != c))]
    first = trial.changed(output, lambda t: t[:1], "logits", "embeddings")
    return max(float(loss(first._replace(logits=row[None]), torch.tensor([c])).detach()) for c, row in wrong)
