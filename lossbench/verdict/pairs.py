"""Two entrants, seed by seed."""

from __future__ import annotations

import statistics as plain
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from .entrants import Entrant
from .resampling import image_interval
from .statistics import ALPHA, FEWEST_SEEDS, holm, paired_t, seeds_to_separate, smallest_difference


@dataclass(frozen=True)
class Pair:
    """Two entrants, the better one first.

    Attributes:
        better, worse: the entrants.
        seeds: in which both have a run.
        differences: of balanced accuracy, one a seed.
        mean, sd: of them; sd None with one seed.
        interval: 95 % over seeds, of this pair alone; None with one seed.
        wide: the same with all pairs considered (Bonferroni); None with one seed.
        p: Holm's, all pairs considered; None with fewer than three seeds, where nothing is claimed.
        smallest: the true difference that so many seeds show four times in five, all pairs considered.
        seeds_needed: to show the mean difference as often; None for more than 1,000, or none.
    """

    better: Entrant = field(repr=False)
    worse: Entrant = field(repr=False)
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    sd: float | None = None
    interval: tuple[float, float] | None = None
    wide: tuple[float, float] | None = None
    p: float | None = None
    smallest: float | None = None
    seeds_needed: int | None = None

    @property
    def first(self) -> str:
        return self.better.label

    @property
    def second(self) -> str:
        return self.worse.label

    @cached_property
    def images(self) -> tuple[float, float] | None:
        """95 % over test images, the runs as they are; None where runs have other images."""
        targets = [e.runs[s].predictions.test.targets for e in (self.better, self.worse) for s in self.seeds]
        if any(not np.array_equal(targets[0], other) for other in targets[1:]):
            return None  # only with --allow-differences
        return image_interval(self.better.right(self.seeds) - self.worse.right(self.seeds), targets[0])

    @property
    def different(self) -> bool:
        """Whether the seeds show a difference."""
        return self.p is not None and self.p < ALPHA

    @property
    def of_these_images(self) -> bool:
        """Whether other test images of the same classes could undo it."""
        return self.images is not None and self.images[0] <= 0 <= self.images[1]


def all_pairs(entrants: Sequence[Entrant]) -> tuple[Pair, ...]:
    """All pairs of one sampler, Holm's correction over those with enough seeds.

    What a sampler does is asked of each loss, by the attribution.
    """
    listed = [(a, b) for a, b in combinations(entrants, 2) if a.sampler == b.sampler]
    common = [sorted(set(a.scores) & set(b.scores)) for a, b in listed]
    testable = sum(len(seeds) >= FEWEST_SEEDS for seeds in common)
    found = []
    for (a, b), seeds in zip(listed, common, strict=True):
        if seeds:
            found.append(_pair(a, b, seeds, ALPHA / max(testable, 1)))
    adjusted = iter(holm([p for _, p in found if p is not None]).tolist() if testable else [])
    return tuple(pair if p is None else replace(pair, p=next(adjusted)) for pair, p in found)


def _pair(a: Entrant, b: Entrant, seeds: list[int], alpha: float) -> tuple[Pair, float | None]:
    """A pair without its corrected p-value, and the plain one."""
    values = [a.scores[s] - b.scores[s] for s in seeds]
    if sum(values) < 0:
        a, b, values = b, a, [-value for value in values]
    mean = plain.mean(values)
    pair = Pair(a, b, tuple(seeds), tuple(values), mean)
    if len(seeds) < 2:
        return pair, None
    test = paired_t(values)
    sd, half, wide = float(test.sd), float(test.half_width()), float(test.half_width(alpha))
    pair = replace(pair, sd=sd, interval=(mean - half, mean + half), wide=(mean - wide, mean + wide))
    if len(seeds) < FEWEST_SEEDS:
        return pair, None
    smallest, needed = smallest_difference(sd, len(seeds), alpha), seeds_to_separate(mean, sd, alpha)
    return replace(pair, smallest=smallest, seeds_needed=needed), float(test.p)
