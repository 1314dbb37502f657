"""What to do next: train longer, add seeds, or add test images, planned from a margin that the user named.

The number of seeds follows from the error of the pairs and the margin alone, never from the differences seen: a plan
made from those adds seeds where chance was close to a claim, which raises false alarms.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from .comparison import Comparison
from .format import plural
from .looks import level_of_look
from .sentence import Sentence
from .standing import Standing
from .statistics import ALPHA
from .training_sentences import falling, not_fitted
from .two_way import TwoWay

MOST_SEEDS = 1000


def advice_sentence(comparison: Comparison, found: Sequence[Standing]) -> list[Sentence]:
    """Return what would detect a difference as large as the margin; longer training comes before more seeds."""
    tested = [p for s in found for p in s.pairs if p.error is not None and p.smallest is not None and p.smallest < 1]
    if not tested:
        return []
    unfinished = {e.label for e in (*not_fitted(comparison), *falling(comparison))}
    margins = [p.margin for p in tested if p.margin is not None]
    if unfinished:
        text = "Before more seeds, train longer: the spread over seeds and the differences change with the epochs."
        return [Sentence("advice", text)]
    if not margins:
        text = "To plan more seeds, name the difference that matters (--equal-within POINTS)."
        return [Sentence("advice", text)] if comparison.has_records else []
    margin, now = margins[0], min(len(p.seeds) for p in tested)
    errors, tests = [p.error for p in tested if p.error is not None], tested[0].family
    size = f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"
    wanted = seeds_for(errors, margin, tests, comparison.looks)
    if wanted is None:
        least = detectable(errors, MOST_SEEDS, tests, comparison.looks)
        text = (
            f"More seeds alone do not detect the margin, a difference of {size}, with 80 % power: {MOST_SEEDS:,} seeds "
            f"detect {100 * least:.1g} points with these test images. Add test images, or name a larger margin."
        )
    elif wanted <= now:
        text = f"{plural(now, 'seed')} detect the margin, a difference of {size}, with 80 % power: no more are needed."
    else:
        text = (
            f"To detect the margin, a difference of {size}, with 80 % power, run about {plural(wanted, 'seed')} (now "
            f"{now}), with these test images."
        )
    return [Sentence("advice", text)]


def seeds_for(errors: Sequence[TwoWay], margin: float, tests: int, looks: Sequence[int] = ()) -> int | None:
    """Return the fewest seeds, from the present number on, that detect the margin; None above 1,000.

    Args:
        errors: of the pairs.
        margin: true difference, as a share.
        tests: number of pairs that are tested together.
        looks: numbers of seeds at which a verdict was given; the verdict on more seeds is one look more.
    """
    low, high = min(error.seeds for error in errors) - 1, MOST_SEEDS
    if detectable(errors, high, tests, looks) > margin:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(errors, middle, tests, looks) <= margin else (middle, high)
    return high


def detectable(errors: Sequence[TwoWay], seeds: int, tests: int, looks: Sequence[int] = ()) -> float:
    """Return the true difference that the median pair detects with 80 % power and that many seeds."""
    nested = [n for n in looks if n < seeds]
    alpha = level_of_look([*nested, seeds], ALPHA, tests) if nested else ALPHA
    return statistics.median(float(with_seeds(error, seeds).smallest(alpha / tests)) for error in errors)


def with_seeds(error: TwoWay, seeds: int) -> TwoWay:
    """Return the error expected with another number of seeds: what the seeds contribute is divided by more of them."""
    share = error.seeds / seeds
    noise = error.v_interaction * share
    return replace(
        error,
        v_seeds=error.v_seeds * share,
        v_images=error.v_images - error.v_interaction + noise,
        v_interaction=noise,
        seeds=seeds,
    )
