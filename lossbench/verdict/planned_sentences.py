"""Planned claims and the comparison with a reference loss, in sentences; they are reported before everything else."""

from __future__ import annotations

from .comparison import Comparison
from .format import listed, p_value, points, span
from .pairs import Pair
from .questions import Unanswered
from .sentence import Claim, Sentence


def planned_sentences(comparison: Comparison) -> list[Sentence]:
    """Return one sentence per planned claim and one on the reference loss."""
    told = [_claim(pair) for pair in comparison.claims]
    told += [Sentence("claim", f"{_asked(u)}: not tested ({u.reason}).") for u in comparison.unanswered]
    if comparison.against:
        told.append(_against(comparison.against))
    return told


def shown(pair: Pair) -> bool:
    """Whether the claim that the first loss is better is shown; never for a loss that failed in some seeds."""
    return pair.different and pair.better is pair.one and not pair.one.unstable


def _asked(question: Unanswered) -> str:
    return f"Planned claim {question.first} > {question.second}" if question.second else f"Against {question.first}"


def _claim(pair: Pair) -> Sentence:
    asked = f"Planned claim {pair.one.label} > {pair.other.label}"
    if pair.interval is None or pair.p is None:
        text = f"{asked}: not tested ({pair.untested})."
        return Sentence("claim", text, (Claim(pair.first, "untested", (pair.second,)),))
    figures = f"{points(pair.mean)} points ({span(pair.interval)}), p = {p_value(pair.p)}".replace("= <", "<")
    if shown(pair):
        return Sentence("claim", f"{asked}: shown, {figures}.", (Claim(pair.first, "ahead", (pair.second,)),))
    if pair.different and pair.better is pair.other and not pair.other.unstable:
        return Sentence("claim", f"{asked}: the opposite is shown, {figures}.",
                        (Claim(pair.second, "ahead", (pair.first,)),))  # fmt: skip
    if pair.different:
        text = f"{asked}: {figures}, but {pair.better.name} failed in some seeds and is not said to be ahead."
        return Sentence("claim", text)
    claims = [Claim(pair.first, "not-shown", (pair.second,))]
    text = f"{asked}: not shown, {figures}."
    if pair.equal and pair.margin is not None:
        text += f" The two are equal within {100 * pair.margin:g} points."
        claims.append(Claim(pair.first, "equal", (pair.second,)))
    return Sentence("claim", text, tuple(claims))


def _against(pairs: tuple[Pair, ...]) -> Sentence:
    """`pairs` are every other loss minus the reference."""
    reference = pairs[0].other
    tested = [p for p in pairs if p.interval is not None]
    better = [p for p in tested if shown(p)]
    worse = [p for p in tested if p.different and p.better is reference and not reference.unstable]
    open_ = [p for p in tested if not p.different]
    parts, claims = [], []
    for members, words in ((better, "ahead"), (worse, "behind"), (open_, "not shown to differ")):
        if members:
            told = [f"{p.one.name} ({span(p.interval)})" for p in members if p.interval is not None]
            parts.append(f"{listed(told)} {'is' if len(members) == 1 else 'are'} {words}")
    claims += [Claim(p.first, "ahead", (reference.label,)) for p in better]
    claims += [Claim(reference.label, "ahead", (p.first,)) for p in worse]
    claims += [Claim(p.first, "not-shown", (reference.label,)) for p in open_]
    text = "; ".join(parts) or "nothing is tested"
    return Sentence("claim", f"Against {reference.label}: {text}.", tuple(claims))
