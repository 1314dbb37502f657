"""Who may lead: losses that ran in every seed without failing, ranked on the seeds they share."""

from __future__ import annotations

import statistics as plain
from collections.abc import Sequence
from dataclasses import dataclass

from .comparison import Comparison
from .entrants import Entrant
from .pairs import Pair
from .statistics import FEWEST_SEEDS


@dataclass(frozen=True)
class Standing:
    """The losses of one sampler.

    Attributes:
        sampler: how training rows were drawn.
        ranked: complete and stable losses, from the best mean on `seeds` to the worst.
        others: losses that failed in some seed or lack one.
        seeds: seeds that all ranked losses have.
        pairs: tested together.
    """

    sampler: str
    ranked: tuple[Entrant, ...]
    others: tuple[Entrant, ...]
    seeds: tuple[int, ...]
    pairs: tuple[Pair, ...]

    @property
    def leader(self) -> Entrant:
        """The ranked loss with the best mean; if none is ranked, the other with the best mean."""
        return (self.ranked or self.others)[0]

    @property
    def everyone(self) -> tuple[Entrant, ...]:
        return (*self.ranked, *self.others)

    def mean(self, entrant: Entrant) -> float:
        """Return the mean on the shared seeds; over its own seeds for a loss that is not ranked."""
        own = [entrant.scores[s] for s in self.seeds if s in entrant.scores] if entrant in self.ranked else []
        return plain.mean(own or entrant.scores.values())

    def pair(self, one: Entrant, other: Entrant) -> Pair | None:
        return next((p for p in self.pairs if p.involves(one.label) and p.involves(other.label)), None)

    def beaten(self, entrant: Entrant) -> list[Entrant]:
        """Losses that an entrant is ahead of; none if it is unstable."""
        return [] if entrant.unstable else [p.worse for p in self.pairs if p.different and p.better is entrant]

    def level(self, entrant: Entrant) -> list[Entrant]:
        """Losses whose pair with an entrant does not differ."""
        return [e for e in self.everyone if e is not entrant and not self._differs(entrant, e)]

    def _differs(self, one: Entrant, other: Entrant) -> bool:
        pair = self.pair(one, other)
        return pair is not None and pair.different

    @property
    def tested(self) -> bool:
        """Whether any pair was tested."""
        return any(p.interval is not None for p in self.pairs)


def standings(comparison: Comparison) -> list[Standing]:
    """Return one standing for each sampler under which two losses or more ran."""
    found = []
    for sampler in comparison.records.samplers:
        entrants = comparison.of_sampler(sampler)
        if len(entrants) < 2:
            continue
        most = max(len(e.scores) for e in entrants)
        complete = [e for e in entrants if len(e.scores) == most and not e.unstable]
        seeds = tuple(sorted(set.intersection(*(set(e.scores) for e in complete)))) if complete else ()
        ranked = _by_mean(complete, seeds) if seeds else []
        labels = {e.label for e in entrants}
        found.append(
            Standing(
                sampler=sampler,
                ranked=tuple(ranked),
                others=tuple(_by_mean([e for e in entrants if e not in ranked], ())),
                seeds=seeds,
                pairs=tuple(p for p in comparison.pairs if p.first in labels and p.second in labels),
            )
        )
    return found


def _by_mean(entrants: Sequence[Entrant], seeds: Sequence[int]) -> list[Entrant]:
    """From the best mean to the worst; losses without enough seeds last."""

    def key(entrant: Entrant) -> tuple[bool, float]:
        values = [entrant.scores[s] for s in seeds] or list(entrant.scores.values())
        return len(entrant.scores) < FEWEST_SEEDS, -plain.mean(values)

    return sorted(entrants, key=key)
