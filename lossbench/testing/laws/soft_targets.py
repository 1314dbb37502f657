"""Life: targets that are probabilities, as mixup, votes and distillation give them."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..configuration import Configuration
from ..law import Group, judge_parts, law
from ..refusals import require_refusal
from ..trial import Trial

GROUP: Group = "Life"


def _takes_class_numbers(configuration: Configuration) -> str | None:
    return None if configuration.specimen.takes_soft_targets else "it takes class numbers (takes_soft_targets)"


@law(GROUP, searched=False, compares=True, unless=_takes_class_numbers)
def soft_targets(trial: Trial) -> None:
    """A loss that takes (B, C) probabilities gives for one-hot rows the value and gradient of their class numbers, and
    is linear in the probabilities. On the CPU it refuses rows that are negative or do not sum to 1.

    Remedy: weight what a row costs with each class as its label by the probabilities, as `LogitLoss` does.
    """
    classes = len(trial.case.class_counts)
    hard = F.one_hot(trial.targets, classes).to(trial.dtype)
    judge_parts(
        [
            partial(_one_hot_rows, trial, hard),
            partial(_linear, trial, hard),
            partial(_refused, trial, "rows that sum to 2", 2 * hard),
            partial(_refused, trial, "a negative probability", 2 * hard - 1 / classes),
            partial(_refused, trial, "NaN as a probability", torch.where(hard > 0, torch.nan, hard)),
            partial(_refused, trial, "probabilities of one class more", F.pad(hard, (0, 1))),
        ]
    )


def _one_hot_rows(trial: Trial, hard: Tensor) -> None:
    expected, slopes = trial.gradients(trial.loss, trial.output(), trial.targets)
    found, gradients = trial.gradients(trial.loss, trial.output(), hard)
    trial.same("one-hot rows against class numbers", found, expected)
    for name, gradient in gradients.items():
        trial.same(f"one-hot rows against class numbers, gradient in {name}", gradient, slopes[name])


def _linear(trial: Trial, hard: Tensor) -> None:
    generator = torch.Generator().manual_seed(len(hard))
    soft = torch.randn(hard.shape, generator=generator, dtype=hard.dtype).softmax(dim=1)
    one, other, mixed = (
        trial.loss(trial.output(), targets).detach() for targets in (hard, soft, 0.25 * hard + 0.75 * soft)
    )
    trial.same("targets mixed 1:3 against their values mixed 1:3", mixed, 0.25 * one + 0.75 * other)


def _refused(trial: Trial, what: str, targets: Tensor) -> None:
    words = ("target", "probabilit", "sum")
    require_refusal(trial, what, trial.output(torch.float32), targets.float(), words)
