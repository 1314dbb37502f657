"""The verdict in sentences: a decision first, then what failed, what is shown, and what could not have been seen."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from .advice import advice_sentence
from .comparison import Comparison
from .control_sentence import control_sentence
from .decision import decision
from .entrants import Entrant
from .failures import failure_sentences
from .format import listed, listed_first, plural, points, span
from .looks import LATER, level_of_look
from .pairs import Pair
from .planned_sentences import planned_sentences
from .run_sentences import run_sentences
from .sentence import Claim, Sentence, joined
from .small_classes import small_class_sentences
from .standing import Standing, standings
from .statistics import ALPHA, FEWEST_SEEDS
from .training_sentences import training_sentences

_MOST_PAIRS = 6  # in one paragraph
_MOST_NAMES = 8  # in one sentence
_SMALLEST = 0.0005  # differences below this print as 0.0


def sentences(comparison: Comparison) -> list[Sentence]:
    """Return the verdict as sentences with the claims they make; the first is the decision, or the score of a run."""
    if comparison.is_one_run:
        return run_sentences(comparison)
    found = standings(comparison)
    failed = failure_sentences(comparison)
    told = [decision(comparison, found, failed)]
    if failed:
        told.append(joined("failures", failed))
    told += training_sentences(comparison)
    told += planned_sentences(comparison)
    for standing in found:
        told += _findings(standing, several=len(found) > 1, planned=bool(comparison.claims or comparison.against))
    told += control_sentence(comparison)
    told += _resolution(found, comparison.folds)
    told += advice_sentence(comparison, found)
    told += _looks(comparison)
    told += small_class_sentences(comparison)
    told += [_same(pair) for pair in comparison.same]
    return told


def verdict_words(comparison: Comparison) -> list[str]:
    """Return the texts of the sentences; the first is the decision, in at most twelve words."""
    return [sentence.text for sentence in sentences(comparison)]


def _findings(standing: Standing, several: bool, planned: bool) -> list[Sentence]:
    """What is shown between the losses of one sampler."""
    under = f"With the {standing.sampler} sampler, " if several else ""
    under = f"Over all pairs, {under.lower()}" if planned else under
    everyone = standing.everyone
    if not standing.tested:
        ranking = listed([f"{e.name} {100 * standing.mean(e):.1f} %" for e in everyone[:_MOST_NAMES]])
        reason = next((p.untested for p in standing.pairs), "no seed in common")
        text = f"{under}{'n' if under else 'N'}othing is claimed ({reason}). Means: {ranking}."
        first, *rest = (e.label for e in everyone)
        return [Sentence("finding", text, (Claim(first, "untested", tuple(rest)),))]
    told = [_headline(standing, under)]
    shown = [p for p in standing.pairs if p.different and not p.better.unstable]
    leading = [p for p in shown if p.better is standing.leader] or shown
    if leading:
        told.append(joined("finding", (_ahead(p) for p in leading[:_MOST_PAIRS])))
    return told


def _headline(standing: Standing, under: str) -> Sentence:
    best, everyone = standing.leader, standing.everyone
    others = [e for e in everyone if e is not best]
    beaten, level = standing.beaten(best), standing.level(best)
    above = [e for e in others if e not in beaten and e not in level]
    mean = f"{100 * standing.mean(best):.1f} %"
    if not any(p.different for p in standing.pairs):
        low, high = (100 * edge(standing.mean(e) for e in everyone) for edge in (min, max))
        text = (
            f"{under}{'n' if under else 'N'}o difference is shown between {_names(everyone)}: their means lie between "
            f"{low:.1f} and {high:.1f} % {best.metric.name}."
        )
        claims = [Claim("", "no-difference", tuple(e.label for e in everyone))]
        if all(p.equal for p in standing.pairs) and standing.pairs[0].margin is not None:
            text += f" All of them are equal within {100 * standing.pairs[0].margin:g} points."
            claims.append(Claim(best.label, "equal", tuple(e.label for e in others)))
        return Sentence("finding", text, tuple(claims))
    if len(beaten) == len(others):
        text = f"{under}{best.name} is ahead of all others, at {mean} {best.metric.name}."
        return Sentence("finding", text, (_claim(best, "ahead", beaten),))
    parts, claims = [f"{under}{best.name} has a mean {best.metric.name} of {mean}"], []
    ranked = [e for e in standing.ranked if e is not best]
    if best in standing.ranked and ranked:
        parts = [f"{under}{best.name} has the best mean {best.metric.name}, {mean}"]
        claims.append(_claim(best, "best-mean", ranked))
    if level:
        parts.append(f"{_names(level)} {_be(level)} not shown to differ from it")
        claims.append(_claim(best, "not-shown", level))
    if beaten:
        parts.append(f"{_names(beaten)} {_be(beaten)} behind")
        claims.append(_claim(best, "ahead", beaten))
    if above:
        parts.append(f"{_names(above)} {'scores' if len(above) == 1 else 'score'} differently, but did not run in "
                     "every seed without failing")  # fmt: skip
    return Sentence("finding", "; ".join(parts) + ".", tuple(claims))


def _claim(entrant: Entrant, relation: str, others: Sequence[Entrant]) -> Claim:
    return Claim(entrant.label, relation, tuple(e.label for e in others))  # type: ignore[arg-type]


def _names(entrants: Sequence[Entrant]) -> str:
    names = [e.name for e in entrants]
    return listed_first(names, len(names) if len(names) <= _MOST_NAMES else _MOST_NAMES - 1)


def _be(entrants: Sequence[Entrant]) -> str:
    return "is" if len(entrants) == 1 else "are"


def _ahead(pair: Pair) -> Sentence:
    assert pair.interval is not None
    low, high = pair.interval if pair.one is pair.better else (-pair.interval[1], -pair.interval[0])
    text = (
        f"{pair.better.name} is ahead of {pair.worse.name} by {100 * abs(pair.mean):.1f} points "
        f"({span((low, high))}), in {pair.seeds_won} of {plural(len(pair.seeds), 'seed')}."
    )
    return Sentence("finding", text, (Claim(pair.better.label, "ahead", (pair.worse.label,)),))


def _resolution(found: Sequence[Standing], folds: int) -> list[Sentence]:
    """Return what the seeds and images could have shown, and what the intervals cover."""
    tested = [p for s in found for p in s.pairs if p.smallest is not None and p.smallest < 1]
    if not tested:
        return []
    typical = statistics.median(p.smallest for p in tested if p.smallest is not None)
    if typical < _SMALLEST:
        return []
    seeds = min(len(p.seeds) for p in tested)
    shares = [p.seed_share for p in tested if p.seed_share is not None]
    text = (
        f"With {seeds} seeds and these test images, a true difference of about {100 * typical:.1f} points between two "
        f"losses is detected with 80 % power; smaller ones mostly stay hidden."
    )
    if shares:
        text += f" {statistics.median(shares):.0%} of the error's variance comes from the seeds, the rest from the " \
                "test images."  # fmt: skip
    covered = "Intervals cover new seeds and new test images of the same classes, "
    covered += (
        f"for training on {folds - 1} of {folds} folds of these images: every seed divides the images differently and "
        "tests each once, and folds are not counted as seeds"
        if folds
        else "for this training set"
    )
    covered += (
        f", and hold together for all {plural(tested[0].family, 'pair')} of a sampler." if tested[0].family > 1 else "."
    )
    return [Sentence("resolution", text), Sentence("coverage", covered)]


def _looks(comparison: Comparison) -> list[Sentence]:
    """What was paid for earlier verdicts on fewer seeds."""
    if len(comparison.looks) < 2 or not comparison.pairs:
        return []
    tests = comparison.pairs[0].family
    level = level_of_look(comparison.looks, ALPHA, tests)
    text = (
        f"This is look {len(comparison.looks)} ({listed([str(n) for n in comparison.looks])} seeds): its "
        f"tests are at {100 * level:.1f} % instead of {100 * ALPHA:g} %, so that all looks together raise at most "
        f"{100 * ALPHA * (1 + LATER):g} % false alarms."
    )
    return [Sentence("resolution", text)]


def _same(pair: Pair) -> Sentence:
    name = min(pair.first, pair.second, key=len)
    if all(value == 0 for value in pair.differences):
        text = f"A/A: {name} run twice is identical in each of {len(pair.seeds)} seeds, as it must be."
    elif pair.different:
        text = f"A/A: {name} run twice shows a difference ({points(pair.mean)} points): something but the loss differs."
    elif pair.p is None:
        text = f"A/A: {name} run twice is not tested with fewer than {FEWEST_SEEDS} seeds ({points(pair.mean)} points)."
    else:
        text = f"A/A: {name} run twice shows no difference ({points(pair.mean)} points), as expected."
    return Sentence("check", text)
