"""Families of pairs that are tested together, each pair with one p-value and one interval."""

from __future__ import annotations

import statistics as plain
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from .entrants import Entrant
from .looks import level_of_look
from .pairs import Pair
from .statistics import ALPHA, FEWEST_SEEDS, holm
from .two_way import FloatArray, TwoWay, two_way

NO_CROSSING = "test images differ between seeds or losses"


def all_pairs(
    entrants: Sequence[Entrant], *, margin: float | None = None, looks: Sequence[int] = ()
) -> tuple[Pair, ...]:
    """Test all pairs of entrants of one sampler as one family, the better entrant of each pair first.

    Every pair is tested at the level of the present look divided by the number of pairs, so intervals and tests agree.
    """
    return _tested(list(combinations(entrants, 2)), margin, looks, better_first=True)


def against(reference: Entrant, entrants: Sequence[Entrant], *, margin: float | None = None,
            looks: Sequence[int] = ()) -> tuple[Pair, ...]:  # fmt: skip
    """Test every other entrant against one as a family of its own; differences are entrant minus reference."""
    return _tested([(e, reference) for e in entrants if e is not reference], margin, looks)


def planned(listed: Sequence[tuple[Entrant, Entrant]], *, margin: float | None = None,
            looks: Sequence[int] = ()) -> tuple[Pair, ...]:  # fmt: skip
    """Test pairs that were named before the first run, by Holm's procedure; the interval is at the pair's Holm step."""
    return _tested(listed, margin, looks, steps=True)


def _tested(
    listed: Sequence[tuple[Entrant, Entrant]],
    margin: float | None,
    looks: Sequence[int],
    *,
    better_first: bool = False,
    steps: bool = False,
) -> tuple[Pair, ...]:
    errors = _errors(listed)
    raw = np.array([1.0 if not isinstance(e, TwoWay) else float(e.p_value()) for e in errors])
    testable = [n for n, e in enumerate(errors) if isinstance(e, TwoWay)]
    alpha = level_of_look(looks, ALPHA, max(len(testable), 1)) if looks else ALPHA
    levels, adjusted = _levels(raw[testable], alpha, steps)
    place = {n: k for k, n in enumerate(testable)}
    found = []
    for n, ((one, other), error) in enumerate(zip(listed, errors, strict=True)):
        seeds = _common_seeds(one, other)
        if not seeds:
            continue
        first, second = one, other
        differences = tuple(one.scores[s] - other.scores[s] for s in seeds)
        if better_first and sum(differences) < 0:
            first, second, differences = other, one, tuple(-d for d in differences)
        if isinstance(error, str):
            found.append(Pair(first, second, seeds, differences, len(testable), margin=margin, untested=error))
            continue
        level = levels[place[n]]
        mean, half = plain.mean(differences), float(error.half_width(level))
        share = float(error.of_seeds)
        found.append(
            Pair(
                first,
                second,
                seeds,
                differences,
                len(testable),
                (max(mean - half, -1.0), min(mean + half, 1.0)),
                adjusted[place[n]],
                None if np.isnan(share) else share,
                float(error.smallest(level)),
                error.borrowed,
                margin,
                error=error,
            )
        )
    return tuple(found)


def _levels(p: FloatArray, alpha: float, steps: bool) -> tuple[list[float], list[float]]:
    """Return each pair's level and adjusted p-value: all at once, or by Holm's steps.

    With steps, a rejected pair has the level at which Holm's procedure tested it and the others share the level of the
    first that was not rejected, so a pair is called different exactly if its interval excludes 0.
    """
    count = len(p)
    if not steps or not count:
        return [alpha / max(count, 1)] * count, np.minimum(count * p * ALPHA / alpha, 1.0).tolist()
    adjusted = holm(p)
    rejected = int((adjusted < alpha).sum())
    rank = np.argsort(np.argsort(p, kind="stable"), kind="stable")
    return (alpha / np.maximum(count - np.minimum(rank, rejected), 1)).tolist(), np.minimum(
        adjusted * ALPHA / alpha, 1.0
    ).tolist()


def _common_seeds(one: Entrant, other: Entrant) -> tuple[int, ...]:
    return tuple(sorted(set(one.scores) & set(other.scores)))


def _errors(listed: Sequence[tuple[Entrant, Entrant]]) -> list[TwoWay | str]:
    """Return the error of each pair, or why there is none; pairs with the same seeds are computed together."""
    errors: list[TwoWay | str] = ["no seed in common"] * len(listed)
    together: dict[tuple[int, ...], list[int]] = {}
    for n, (one, other) in enumerate(listed):
        seeds = _common_seeds(one, other)
        if len(seeds) >= FEWEST_SEEDS:
            together.setdefault(seeds, []).append(n)
        elif seeds:
            errors[n] = f"{len(seeds)} of at least {FEWEST_SEEDS} seeds"
    for seeds, members in together.items():
        entrants = list({id(e): e for n in members for e in listed[n]}.values())
        number = {id(e): k for k, e in enumerate(entrants)}
        targets = [e.targets[s] for e in entrants for s in seeds]
        if any(len(t) != len(targets[0]) or (t != targets[0]).any() for t in targets[1:]):
            for n in members:
                errors[n] = NO_CROSSING
            continue
        values = np.stack([[e.values[s] for s in seeds] for e in entrants])
        scores = [[e.scores[s] for s in seeds] for e in entrants]
        pairs = [[number[id(e)] for e in listed[n]] for n in members]
        error = two_way(values, targets[0], pairs, scores=scores, weights=entrants[0].weights)
        for k, n in enumerate(members):
            errors[n] = error.one(k)
    return errors
