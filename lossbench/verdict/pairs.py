"""The difference between two entrants, with its interval for new seeds and new images."""

from __future__ import annotations

import statistics as plain
from dataclasses import dataclass, field
from typing import Literal

from .entrants import Entrant
from .two_way import TwoWay

Verdict = Literal["differ", "equal", "not-shown"]


@dataclass(frozen=True)
class Pair:
    """The difference between two entrants, first minus second, on the seeds that both have.

    Attributes:
        one, other: the entrants.
        seeds: seeds that both have.
        differences: difference of the metric, one per seed.
        family: number of pairs that were tested together.
        interval: simultaneous 95 % interval over the family, for new seeds and new test images; None if not tested.
        p: p-value adjusted for the family and for looks; None if not tested, with the reason in `untested`.
        seed_share: share of the error's variance that more seeds would lower; None if not tested or without variance.
        smallest: true difference that the family's test detects with 80 % power; None if not tested.
        borrowed: number of classes with one test image, whose variance is taken from the other classes.
        margin: differences below this are of no matter (`--equal-within`); None if it was not given.
        untested: why nothing is claimed; empty if the pair was tested.
    """

    one: Entrant = field(repr=False)
    other: Entrant = field(repr=False)
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    family: int = 1
    interval: tuple[float, float] | None = None
    p: float | None = None
    seed_share: float | None = None
    smallest: float | None = None
    borrowed: int = 0
    margin: float | None = None
    untested: str = ""
    error: TwoWay | None = field(default=None, repr=False)

    @property
    def first(self) -> str:
        return self.one.label

    @property
    def second(self) -> str:
        return self.other.label

    @property
    def mean(self) -> float:
        return plain.mean(self.differences)

    @property
    def sd(self) -> float | None:
        """Standard deviation of the differences over seeds; None with one seed."""
        return plain.stdev(self.differences) if len(self.differences) > 1 else None

    @property
    def better(self) -> Entrant:
        return self.one if self.mean >= 0 else self.other

    @property
    def worse(self) -> Entrant:
        return self.other if self.mean >= 0 else self.one

    @property
    def seeds_won(self) -> int:
        """Number of seeds in which the better entrant scores higher."""
        sign = 1 if self.mean >= 0 else -1
        return sum(sign * difference > 0 for difference in self.differences)

    @property
    def different(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def equal(self) -> bool:
        """Whether the whole interval lies within the margin: two one-sided tests."""
        if self.margin is None or self.interval is None:
            return False
        return -self.margin < self.interval[0] and self.interval[1] < self.margin

    @property
    def verdict(self) -> Verdict:
        return "differ" if self.different else "equal" if self.equal else "not-shown"

    def involves(self, label: str) -> bool:
        return label in (self.first, self.second)
