"""The sum of several losses, each times its coefficient: what a formula with more than one term becomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..loss import Loss, WeightedTerm
from ..types import ModelOutput


class Terms(nn.ModuleList):
    """The losses of a sum: a module list that returns names and coefficients as well when it is called.

    Args:
        losses: one per term.
        coefficients: one per term.
        names: one per term.
    """

    def __init__(self, losses: Sequence[Loss], coefficients: Sequence[float], names: Sequence[str]) -> None:
        super().__init__(losses)
        self.coefficients, self.names = tuple(coefficients), tuple(names)

    def forward(self) -> tuple[WeightedTerm, ...]:
        return tuple(map(WeightedTerm, self.names, self.coefficients, self.losses()))

    def losses(self) -> Iterator[Loss]:
        return (term for term in self if isinstance(term, Loss))


class WeightedSum(Loss):
    """L = sum_k coefficient_k L_k, itself a `Loss`.

    Args:
        terms: the losses.
        coefficients: one per term.
        names: one per term, for logs.
        primary: position of the term that defines the scores: one that reads the logits.
    """

    reminds = False  # its terms do

    def __init__(
        self, terms: Sequence[Loss], coefficients: Sequence[float], names: Sequence[str], primary: int = 0
    ) -> None:
        super().__init__()
        setattr(self, "terms", Terms(terms, coefficients, names))  # noqa: B010  # a module is set past the property
        self.coefficients, self.names, self.primary = tuple(coefficients), tuple(names), primary
        self.traits = frozenset.intersection(*(term.traits for term in terms))
        self.takes_soft_targets = all(term.takes_soft_targets for term in terms)

    @property
    def terms(self) -> Terms:  # calling it is the method of `Loss`
        """The module list of the terms, with states under "terms.0", "terms.1" and so on."""
        terms = self._modules["terms"]
        assert isinstance(terms, Terms)
        return terms

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        values = [c * term(output, targets) for c, term in zip(self.coefficients, self.terms, strict=True)]
        return torch.stack(values).sum()

    def per_sample(self, output: Any, targets: Tensor) -> Tensor:
        values = [term.coefficient * term.loss.per_sample(output, targets) for term in self.terms()]
        return torch.stack(values).sum(dim=0)

    def scores(self, output: ModelOutput) -> Tensor:
        scores: Tensor = self.terms()[self.primary].loss.scores(output)
        return scores

    def begin_epoch(self, epoch: int, total: int) -> None:
        for term in self.terms.losses():
            term.begin_epoch(epoch, total)

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        for term in self.terms.losses():
            term.update_state(output, targets)

    def param_groups(self) -> list[dict[str, Any]]:
        return [group for term in self.terms.losses() for group in term.param_groups()]
