"""Losses that were not trained to the end: a verdict between them is about the first epochs."""

from __future__ import annotations

from .comparison import Comparison
from .entrants import Entrant
from .format import listed
from .sentence import Claim, Sentence

FITTED = 0.95  # balanced accuracy on the training images, from which a loss counts as trained to the end
FAR = 0.90  # below it, the decision is to train longer
_MOST = 6  # losses in one sentence


def not_fitted(comparison: Comparison, below: float = FITTED) -> list[Entrant]:
    """Return the losses whose runs do not fit their own training images."""
    return [e for e in comparison.trained if (fit := e.training_accuracy) is not None and fit < below]


def training_sentences(comparison: Comparison) -> list[Sentence]:
    """Return one sentence on the losses that are not trained to the end, if there are any."""
    found = not_fitted(comparison)
    if not found:
        return []
    told = listed([f"{e.name} {100 * (e.training_accuracy or 0):.0f} %" for e in found[:_MOST]])
    rest = f" and {len(found) - _MOST} others" if len(found) > _MOST else ""
    text = (
        f"Not trained to the end: balanced accuracy on the training images is {told}{rest}. Train longer before you "
        "add seeds."
    )
    return [Sentence("training", text, tuple(Claim(e.label, "not-fitted") for e in found))]
