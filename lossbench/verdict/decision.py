"""What to do, in at most twelve words."""

from __future__ import annotations

from collections.abc import Sequence

from .comparison import Comparison
from .entrants import Entrant
from .format import listed
from .planned_sentences import shown
from .sentence import Claim, Sentence
from .standing import Standing
from .statistics import FEWEST_SEEDS
from .training_sentences import FAR, falling, not_fitted

MOST_WORDS = 12
_NEAR_CHANCE = 0.1  # with few images an interval can hold chance level and everything else
_NOTHING_SHARED = "the losses share no seeds or test images"
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def decision(comparison: Comparison, found: Sequence[Standing], failed: Sequence[Sentence]) -> Sentence:
    """Return the first line of the verdict.

    Args:
        comparison: judged.
        found: standing of each sampler; the decision is about the first.
        failed: sentences on losses that failed.
    """
    chosen = _choice(comparison, found)
    claims = [c for sentence in failed for c in sentence.claims if c.relation in ("diverged", "collapsed")]
    if not claims:
        return chosen
    names = list(dict.fromkeys(c.subject for c in claims))
    failures = [f"{listed(names)} failed in some seeds", f"{len(names)} failed in some seeds"]
    if len(claims) == 1:
        total = len(comparison.entrant(names[0]).scores)
        failures.insert(0, f"{names[0]} {claims[0].relation} in {len(claims[0].objects)} of {total} seeds")
    for text in (f"{chosen.text}; {failure}" for failure in failures):
        if len(text.split()) <= MOST_WORDS:
            return Sentence("decision", text, chosen.claims)
    return chosen


def _choice(comparison: Comparison, found: Sequence[Standing]) -> Sentence:
    if not found:
        return Sentence("decision", "One loss alone: there is nothing to compare")
    return (
        _not_yet(found[0])
        or _untrained(comparison, found[0])
        or _of_claims(comparison)
        or _chosen(comparison, found[0])
    )


def _untrained(comparison: Comparison, standing: Standing) -> Sentence | None:
    """Return that training is not over, if half of the losses are far from fitting their training images or fall."""
    far = [e.label for e in not_fitted(comparison, FAR) if e in standing.everyone]
    moving = [e.label for e in falling(comparison) if e in standing.everyone]
    unfinished = {*far, *moving}
    if 2 * len(unfinished) < len(standing.everyone) or not unfinished:
        return None
    claims = [*(Claim(label, "not-fitted") for label in far), *(Claim(label, "still-falling") for label in moving)]
    return Sentence("decision", "Not yet: train longer", tuple(claims))


def _of_claims(comparison: Comparison) -> Sentence | None:
    """Return what the planned claims came to, if there are any."""
    names = [(p.first, p.second) for p in comparison.claims]
    names += [(u.first, u.second) for u in comparison.unanswered if u.second]
    if not names:
        return None
    held = [p for p in comparison.claims if shown(p)]
    made = tuple(Claim(p.first, "ahead", (p.second,)) for p in held)
    if len(names) > 1:
        return Sentence("decision", f"{len(held)} of {len(names)} planned claims shown", made)
    ((first, second),) = names
    text = f"Claim {'shown' if held else 'not shown'}: {first} > {second}"
    return Sentence("decision", _short(text, f"The planned claim is {'shown' if held else 'not shown'}"), made)


def _not_yet(standing: Standing) -> Sentence | None:
    """Return what must be done before anything can be decided, if anything."""
    if all(_at_chance(e) for e in standing.everyone):
        claims = tuple(Claim(e.label, "at-chance") for e in standing.everyone)
        return Sentence("decision", "Not yet: no loss beats a constant answer", claims)
    text = ""
    if not standing.tested:
        reason = standing.pairs[0].untested if standing.pairs else ""
        text = f"run at least {FEWEST_SEEDS} seeds of each loss" if "seeds" in reason else _NOTHING_SHARED
    elif not standing.ranked:
        text = "every loss failed in some seeds"
    else:
        best = standing.leader
        known = [best, *standing.beaten(best), *standing.level(best)]
        if any(e not in known for e in standing.everyone):
            text = "repeat the runs that failed or are missing"
    return Sentence("decision", f"Not yet: {text}") if text else None


def _chosen(comparison: Comparison, standing: Standing) -> Sentence:
    best = standing.leader
    beaten = standing.beaten(best)
    shifted = comparison.shifted
    control = comparison.control
    if shifted and not shifted.unstable and control and all(p.different and p.better is shifted for p in control):
        claim = Claim(shifted.label, "ahead", tuple(p.worse.label for p in control))
        return Sentence("decision", "Take plain softmax and shift its scores", (claim,))
    if len(beaten) == len(standing.everyone) - 1:
        claim = Claim(best.label, "ahead", tuple(e.label for e in beaten))
        return Sentence("decision", _short(f"Take {best.name}", "Take the loss with the best mean"), (claim,))
    return _any_of(standing, [e for e in standing.ranked if e not in beaten])


def _any_of(standing: Standing, level: Sequence[Entrant]) -> Sentence:
    """Several losses that are not shown to differ from the best one."""
    best, *others = level
    count = _NUMBERS[len(level)] if len(level) < len(_NUMBERS) else str(len(level))
    among = [p for p in standing.pairs if p.one in level and p.other in level]
    margin = among[0].margin if among else None
    if margin is not None and among and all(p.equal for p in among):
        claim = Claim(best.label, "equal", tuple(e.label for e in others))
        return Sentence("decision", f"Any of these {count}, within {100 * margin:g} points", (claim,))
    claim = Claim(best.label, "not-shown", tuple(e.label for e in others))
    if len(level) == len(standing.everyone):
        if any(p.different for p in standing.pairs):
            return Sentence("decision", "No loss is shown to be the best", (claim,))
        every = tuple(e.label for e in standing.everyone)
        return Sentence("decision", "No loss is shown to be better", (Claim("", "no-difference", every),))
    if not others:
        return Sentence("decision", _short(f"Take {best.name}", "Take the loss with the best mean"),
                        (Claim(best.label, "best-mean", tuple(e.label for e in standing.ranked[1:])),))  # fmt: skip
    names = f"Take {listed([e.name for e in level]).replace(' and ', ' or ')}: none is shown better"
    return Sentence("decision", _short(names, f"Take one of the leading {count}: none is shown better"), (claim,))


def _short(text: str, otherwise: str) -> str:
    return text if len(text.split()) <= MOST_WORDS - 5 else otherwise


def _at_chance(entrant: Entrant) -> bool:
    """Whether an entrant is near the score of a constant answer and its interval holds it."""
    interval = entrant.interval
    return interval is not None and interval[0] <= entrant.chance and entrant.mean < entrant.chance + _NEAR_CHANCE
