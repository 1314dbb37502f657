"""Sentences of a verdict that its numbers do not bear out: every claim is derived again from the judged pairs."""

from __future__ import annotations

import statistics as plain
from collections.abc import Iterator

from .comparison import Comparison
from .decision import MOST_WORDS
from .entrants import Entrant
from .failures import skipped_steps
from .pairs import Pair
from .sentence import Claim, Sentence
from .sentences import sentences
from .training_sentences import FALLING, FITTED, share_of_fall

_NEVER = ("about 0.0 points", "p = 0.000", "nan", "-inf")


def contradictions(comparison: Comparison) -> list[str]:
    """Return what the sentences say and the numbers do not; empty for a verdict that can be trusted."""
    told = sentences(comparison)
    found = [f"{s.text!r}: {claim}" for s in told for claim in s.claims if not _holds(comparison, claim)]
    found += [f"{s.text!r} speaks of all" for s in told if not _quantifiers_hold(comparison, s)]
    found += [f"{s.text!r} says {text!r}" for s in told for text in _NEVER if text in s.text]
    if len(told[0].text.split()) > MOST_WORDS:
        found.append(f"{told[0].text!r} has more than {MOST_WORDS} words")
    opening = " ".join(s.text for s in told[:2])
    found += [f"{e.label} failed and is not named at once" for e in comparison.trained
              if e.unstable and e.name not in opening]  # fmt: skip
    for pair in _all(comparison):
        if pair.interval is not None and pair.p is not None:
            excludes = pair.interval[0] > 0 or pair.interval[1] < 0
            if excludes != (pair.verdict == "differ") or (excludes and pair.p >= _RARE):
                found.append(f"{pair.first} - {pair.second}: {pair.interval}, p {pair.p}, {pair.verdict}")
    return found


_RARE = 0.0501  # a p-value that no interval at 95 % allows, with the rounding of its search


def _all(comparison: Comparison) -> tuple[Pair, ...]:
    return (*comparison.pairs, *comparison.control, *comparison.claims, *comparison.against)


def _between(comparison: Comparison, one: str, other: str) -> Iterator[Pair]:
    return (p for p in _all(comparison) if {p.first, p.second} == {one, other})


def _holds(comparison: Comparison, claim: Claim) -> bool:
    labels = [str(o) for o in claim.objects]
    checks = {
        "ahead": lambda: all(_ahead(comparison, claim.subject, other) for other in labels),
        "not-shown": lambda: all(any(not p.different for p in _between(comparison, claim.subject, o)) for o in labels),
        "untested": lambda: all(all(p.p is None for p in _between(comparison, claim.subject, o)) for o in labels),
        "equal": lambda: _equal(comparison, [claim.subject, *labels]),
        "no-difference": lambda: not any(p.different for p in comparison.pairs if {p.first, p.second} <= set(labels)),
        "best-mean": lambda: _best_mean(comparison, claim.subject, labels),
        "diverged": lambda: tuple(sorted(comparison.entrant(claim.subject).diverged)) == claim.objects,
        "collapsed": lambda: comparison.entrant(claim.subject).collapsed == claim.objects,
        "skipped": lambda: tuple(sorted(skipped_steps(comparison, comparison.entrant(claim.subject)))) == claim.objects,
        "missing": lambda: _missing(comparison, claim),
        "not-fitted": lambda: (comparison.entrant(claim.subject).training_accuracy or 1.0) < FITTED,
        "still-falling": lambda: _falling(comparison.entrant(claim.subject)),
        "at-chance": lambda: _at_chance(comparison.entrant(claim.subject)),
    }
    return checks[claim.relation]()


def _ahead(comparison: Comparison, one: str, other: str) -> bool:
    """Whether a pair differs in favor of a loss that failed nowhere, by the seeds that both have."""
    winner, loser = comparison.entrant(one), comparison.entrant(other)
    seeds = set(winner.scores) & set(loser.scores)
    if winner.unstable or not seeds or one == other:
        return False
    better = plain.mean(winner.scores[s] - loser.scores[s] for s in seeds) > 0
    return better and any(p.different for p in _between(comparison, one, other))


def _equal(comparison: Comparison, labels: list[str]) -> bool:
    """Whether all pairs of one family among these losses lie within the margin."""

    def within(pair: Pair) -> bool:
        return pair.interval is not None and pair.margin is not None and max(map(abs, pair.interval)) < pair.margin

    families = (comparison.pairs, comparison.claims, comparison.against)
    among = [[p for p in family if {p.first, p.second} <= set(labels)] for family in families]
    return any(bool(pairs) and all(within(p) for p in pairs) for pairs in among)


def _best_mean(comparison: Comparison, one: str, others: list[str]) -> bool:
    entrants = [comparison.entrant(label) for label in (one, *others)]
    seeds = set.intersection(*(set(e.scores) for e in entrants))
    means = [plain.mean(e.scores[s] for s in seeds) for e in entrants]
    return not entrants[0].unstable and means[0] >= max(means) - 1e-12


def _missing(comparison: Comparison, claim: Claim) -> bool:
    entrant = next((e for e in comparison.entrants if e.label == claim.subject), None)
    return entrant is None or not set(claim.objects) & set(entrant.scores)


def _falling(entrant: Entrant) -> bool:
    """Whether half of the runs or more fell by more than the limit at the end."""
    found = [share for run in entrant.trained if (share := share_of_fall(run.history)) is not None]
    return bool(found) and 2 * sum(share > FALLING for share in found) >= len(found)


def _at_chance(entrant: Entrant) -> bool:
    return entrant.interval is not None and entrant.interval[0] <= entrant.chance


def _quantifiers_hold(comparison: Comparison, sentence: Sentence) -> bool:
    """Whether words about all losses are claims about all of them."""
    if "ahead of all others" in sentence.text or "ahead of every loss" in sentence.text:
        (claim,) = [c for c in sentence.claims if c.relation == "ahead"]
        subject = comparison.entrant(claim.subject)
        others = {e.label for e in comparison.of_sampler(subject.sampler)} - {claim.subject}
        return others == set(claim.objects)
    if "no loss is shown to be better" in sentence.text and comparison.shifted is not None:
        return not any(_ahead(comparison, p.first, p.second) for p in comparison.control)
    return True
