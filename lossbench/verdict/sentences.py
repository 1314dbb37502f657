"""The verdict in words: what is shown, what is not, and what would have to be done to know more."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from .comparison import Comparison
from .entrants import Entrant
from .format import listed, points, span
from .pairs import Pair
from .statistics import FEWEST_SEEDS

_CLOSE = 0.0005  # of two means that print alike
_TOLD = 6  # pairs in one paragraph


def verdict_words(comparison: Comparison) -> list[str]:
    """Paragraphs; the first one is the headline.

    Args:
        comparison: judged.
    """
    words = []
    for sampler in comparison.records.samplers:
        entrants = [e for e in comparison.entrants if e.sampler == sampler]
        if len(entrants) > 1:
            words += _of_sampler(comparison, entrants, sampler)
    if not words:
        words.append("One loss alone: there is nothing to compare.")
    return [
        *words,
        *_threshold(comparison),
        *_resolution(comparison),
        *(_same(pair) for pair in comparison.same),
        *_left_out(comparison),
    ]


def _of_sampler(comparison: Comparison, entrants: Sequence[Entrant], sampler: str) -> list[str]:
    """Who leads, and what is shown to differ."""
    under = f"With the {sampler} sampler, " if len(comparison.records.samplers) > 1 else ""
    no = "no" if under else "No"
    seeds = min(len(e.scores) for e in entrants)
    best, others = entrants[0], entrants[1:]
    groups = comparison.groups.get(sampler)
    if not groups or seeds < FEWEST_SEEDS:
        ranking = listed([f"{e.name} {100 * e.mean:.1f}" for e in entrants[:4]])
        return [
            f"{under}{no} claim: {seeds} seed(s) can't tell a difference from chance ({FEWEST_SEEDS} at least, 5 "
            f"to report, 10 to claim).",
            f"Means of balanced accuracy, as they fell out: {ranking}.",
        ]
    behind = [p for e in others if (p := comparison.pair(best.label, e.label)) is not None and p.different]
    if len(groups) == 1:
        return [
            f"{under}{no} difference is shown between {listed([e.name for e in entrants])}: means reach "
            f"from {100 * entrants[-1].mean:.1f} to {100 * best.mean:.1f} % balanced accuracy over {seeds} seeds."
        ]
    beaten = {p.second for p in behind}
    level = [e.name for e in others if e.label not in beaten]
    if not level:
        headline = f"{under}{best.name} is ahead of all others, at {100 * best.mean:.1f} % balanced accuracy."
    elif beaten:
        headline = (
            f"{under}{best.name} has the best mean, {100 * best.mean:.1f} %, and {_are(level)} not shown to differ "
            f"from it; {listed([p.worse.name for p in behind])} {'is' if len(behind) == 1 else 'are'} behind."
        )
    else:
        headline = f"{under}{best.name} has the best mean, {100 * best.mean:.1f} %, but is shown to be ahead of none."
    told = behind or [p for p in comparison.pairs if p.different and p.better.sampler == sampler]
    return [headline, " ".join(_ahead(pair) for pair in told[:_TOLD])]


def _are(labels: Sequence[str]) -> str:
    return f"{listed(labels)} {'is' if len(labels) == 1 else 'are'}"


def _ahead(pair: Pair) -> str:
    assert pair.interval is not None
    by = f"{100 * pair.mean:.1f} points ({span(pair.interval)}){_doubt(pair)}"
    return f"{pair.better.name} is ahead of {pair.worse.name} by {by}."


def _doubt(pair: Pair) -> str:
    if not pair.of_these_images or pair.images is None:
        return ""
    return f", on these test images: with others of the same classes it could be {span(pair.images)}"


def _threshold(comparison: Comparison) -> list[str]:
    """Whether shifting softmax's scores does what the best loss does."""
    post_hoc = next((e for e in comparison.entrants if e.post_hoc), None)
    others = [e for e in comparison.entrants if post_hoc and not e.post_hoc and e.sampler == post_hoc.sampler]
    if post_hoc is None or len(others) < 2:
        return []
    best = others[0]
    pair = comparison.pair(post_hoc.label, best.label)
    reached = f"Plain softmax whose scores are shifted after training (tau = 1) reaches {100 * post_hoc.mean:.1f} %"
    if pair is None or pair.interval is None or pair.p is None:
        return [f"{reached}; the best loss as trained, {best.label}, {100 * best.mean:.1f} %."]
    between = f"{points(pair.mean if pair.first == best.label else -pair.mean)} points"
    low, high = pair.interval if pair.first == best.label else (-pair.interval[1], -pair.interval[0])
    told = f"{best.label} against it: {between} ({span((low, high))})"
    if not pair.different:
        return [f"Loss or threshold? {reached}, and no loss is shown to do better. {told}."]
    if pair.first == best.label:
        return [f"Loss or threshold? {reached}, and {best.label} is ahead of that: {told}{_doubt(pair)}."]
    return [f"It is the threshold: {reached}, ahead of every loss as trained. {told}{_doubt(pair)}."]


def _resolution(comparison: Comparison) -> list[str]:
    """What the seeds could have shown, and what would show more."""
    tested = [p for p in comparison.pairs if p.smallest is not None]
    if not tested:
        return []
    typical = statistics.median(p.smallest for p in tested if p.smallest is not None)
    seeds = min(len(p.seeds) for p in tested)
    text = (
        f"With {seeds} seeds, all pairs considered, a true difference of about {100 * typical:.1f} points is shown "
        "four times in five; smaller ones mostly stay hidden."
    )
    open_ = [p for p in tested if not p.different and p.mean > _CLOSE]
    ends = [p for p in open_ if p.seeds_needed is not None]
    if ends:
        near = min(ends, key=lambda p: p.seeds_needed or 0)
        text += (
            f" To separate {near.first} from {near.second}, if they differ by the {100 * near.mean:.1f} points seen, "
            f"takes about {near.seeds_needed} seeds."
        )
    return [text]


def _same(pair: Pair) -> str:
    name = min(pair.first, pair.second, key=len)
    if all(value == 0 for value in pair.differences):
        return f"A/A: {name} run twice is equal in each of {len(pair.seeds)} seeds, as it must be."
    told = "no difference, as it must be" if not pair.different else "A DIFFERENCE: something but the loss differs"
    return f"A/A: {name} run twice shows {told} ({points(pair.mean)} points)."


def _left_out(comparison: Comparison) -> list[str]:
    if not comparison.problems:
        return []
    count = len(comparison.problems)
    return [f"{count} of {count + len(comparison.records.runs)} runs could not be used; each is named below."]
