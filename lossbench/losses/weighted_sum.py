"""The sum of several losses, each times its coefficient: what a formula with more than one term becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..loss import Loss
from ..types import ModelOutput


class WeightedSum(Loss):
    """L = sum_k coefficient_k L_k, itself a `Loss`.

    Args:
        terms: the losses.
        coefficients: one a term.
        names: one a term, for logs.
        primary: which term defines the scores: one that reads the logits.
    """

    def __init__(
        self, terms: Sequence[Loss], coefficients: Sequence[float], names: Sequence[str], primary: int = 0
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.coefficients, self.names, self.primary = tuple(coefficients), tuple(names), primary
        self.traits = frozenset.intersection(*(term.traits for term in terms))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        values = [c * term(output, targets) for c, term in zip(self.coefficients, self.terms, strict=True)]
        return torch.stack(values).sum()

    def scores(self, output: ModelOutput) -> Tensor:
        return self._losses()[self.primary].scores(output)

    def begin_epoch(self, epoch: int, total: int) -> None:
        for term in self._losses():
            term.begin_epoch(epoch, total)

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        for term in self._losses():
            term.update_state(output, targets)

    def param_groups(self) -> list[dict[str, Any]]:
        return [group for term in self._losses() for group in term.param_groups()]

    def _losses(self) -> list[Loss]:
        return [term for term in self.terms if isinstance(term, Loss)]
