"""Classes with few test images: what one image is worth, and the scores over the other classes."""

from __future__ import annotations

import numpy as np

from .comparison import Comparison
from .entrants import Entrant
from .format import listed, plural
from .metric import BALANCED_ACCURACY
from .sentence import Sentence

ENOUGH = 12  # test images, from which a class's recall can be estimated
_MOST = 8  # losses in one sentence


def small_class_sentences(comparison: Comparison) -> list[Sentence]:
    """Return one sentence on classes with fewer than 12 test images, if there are any; balanced accuracy only."""
    entrants = comparison.entrants
    if comparison.metric is not BALANCED_ACCURACY or not entrants:
        return []
    targets = next(iter(entrants[0].seed_targets.values()))
    counts = np.bincount(targets)
    present = int((counts > 0).sum())
    small = counts[(counts > 0) & (counts < ENOUGH)]
    if not len(small):
        return []
    worth = 100 / small.min() / present
    text = (
        f"{plural(len(small), 'class').replace('classs', 'classes')} of {present} "
        f"{'has' if len(small) == 1 else 'have'} fewer than {ENOUGH} test images; one image of the rarest is worth "
        f"{worth:.1f} points."
    )
    if len(small) < present:
        several = len(comparison.records.samplers) > 1
        told = [f"{e.label if several else e.name} {100 * _over(e, counts >= ENOUGH):.1f} %" for e in entrants[:_MOST]]
        text += f" Over the other classes: {listed(told)}."
    if any(pair.borrowed for pair in comparison.pairs):
        text += " A class with a single image is given the variance of the others, which is an assumption."
    return [Sentence("limit", text)]


def _over(entrant: Entrant, kept: np.ndarray) -> float:
    """Mean recall over some classes, over the runs that did not diverge."""
    found = []
    for seed, predicted in entrant.predictions.items():
        targets = entrant.seed_targets[seed]
        counts = np.bincount(targets, minlength=len(kept))
        hits = np.bincount(targets[predicted == targets], minlength=len(kept))
        found.append((hits[kept] / counts[kept]).mean())
    return float(np.mean(found))
