"""Batches drawn once for all laws: hypothesis takes longer to draw a batch than most laws to judge it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from .cases import Case, cases

Sizes = Sequence[tuple[int, int]]


def strategy(fewest_rows: int, sizes: Sizes, larger_sizes: Sizes | None) -> st.SearchStrategy[Case]:
    """Return small batches, and larger ones if `larger_sizes` is given.

    Args:
        fewest_rows: smallest B.
        sizes: pairs of C and D of small batches; empty for all.
        larger_sizes: pairs of C and D of larger batches; empty for all.
    """
    small = cases(min_batch=fewest_rows, sizes=sizes)
    if larger_sizes is None:
        return small
    return st.one_of(small, cases(min_batch=fewest_rows, max_batch=40, sizes=larger_sizes))


def settings(number: int, *phases: Phase) -> hypothesis.settings:
    """Return how a search for `number` batches is done: quietly, without a limit of time or a memory of its own."""
    return hypothesis.settings(
        max_examples=number,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=phases,
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
    )


@functools.lru_cache(maxsize=16)
def drawn(
    seed: int, number: int, fewest_rows: int, sizes: tuple[tuple[int, int], ...], larger_sizes: Sizes | None
) -> tuple[Case, ...]:
    """Return `number` batches of a seed, and half as many more in the place of those on kinks of the loss.

    Args:
        seed: seed of the draw.
        number: batches that a law is to be judged on.
        fewest_rows, sizes, larger_sizes: as of `strategy`.
    """
    found: list[Case] = []

    @hypothesis.seed(seed)
    @settings(number + number // 2, Phase.generate)
    @hypothesis.given(strategy(fewest_rows, sizes, larger_sizes))
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return tuple(found)
