"""Is it the loss, or would plain softmax with shifted scores do as well?"""

from __future__ import annotations

import statistics

from .comparison import Comparison
from .entrants import Entrant
from .format import listed, listed_first, power, span
from .pairs import Pair
from .sentence import Claim, Sentence

_MOST = 4  # losses in one sentence


def control_sentence(comparison: Comparison) -> list[Sentence]:
    """Return the sentence on the shifted softmax, from its pairs with every loss; none if nothing was tested."""
    shifted = comparison.shifted
    tested = [p for p in comparison.control if p.interval is not None]
    if shifted is None or not tested:
        return []
    reached = f"plain softmax with shifted scores ({shift_of(shifted)}) reaches"
    reached += f" {100 * shifted.mean:.1f} % {shifted.metric.name}"
    ahead = [p for p in tested if p.different and p.better is not shifted and not p.better.unstable]
    behind = [] if shifted.unstable else [p for p in tested if p.different and p.better is shifted]
    open_ = [p for p in tested if not p.different]
    claims = []
    if ahead:
        text = f"Loss or threshold? {reached[0].upper()}{reached[1:]}; {_listed(ahead)} ahead of it."
        claims += [Claim(p.better.label, "ahead", (shifted.label,)) for p in ahead]
    elif len(behind) == len(comparison.control):
        text = f"It is the threshold: {reached}, ahead of every loss as trained."
        claims.append(Claim(shifted.label, "ahead", tuple(p.worse.label for p in behind)))
    else:
        text = f"Loss or threshold? {reached[0].upper()}{reached[1:]}, and no loss is shown to be better."
        claims.append(Claim(shifted.label, "not-shown", tuple(p.first for p in open_)))
        if behind:
            names = listed([p.worse.name for p in behind])
            text += f" {names} {'is' if len(behind) == 1 else 'are'} behind it."
            claims.append(Claim(shifted.label, "ahead", tuple(p.worse.label for p in behind)))
    return [Sentence("control", text, tuple(claims))]


def shift_of(control: Entrant) -> str:
    """Return by how much the scores of the control are shifted."""
    taus = [run.thresholds.control for run in control.runs.values()]
    measured = [tau for tau in taus if tau is not None and tau != 1]
    return f"tau = {power(statistics.mean(measured))}, as measured on held-out images" if measured else "tau = 1"


def _listed(pairs: list[Pair]) -> str:
    """Names with differences from the shifted softmax; `control` pairs are loss minus shifted softmax."""
    told = [f"{p.one.name} ({span(p.interval)})" for p in pairs if p.interval is not None]
    return f"{listed_first(told, _MOST)} {'is' if len(pairs) == 1 else 'are'}"
