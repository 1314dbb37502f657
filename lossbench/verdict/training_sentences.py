"""Losses that were not trained to the end: a verdict between them is about the first epochs."""

from __future__ import annotations

import statistics as plain
from collections.abc import Sequence

from ..runs.history import HistoryRow
from .comparison import Comparison
from .entrants import Entrant
from .format import listed_first
from .sentence import Claim, Sentence

FITTED = 0.95  # balanced accuracy on the training images, from which a loss counts as trained to the end
FAR = 0.90  # below it, the decision is to train longer
# Share of the whole fall of the training loss that belongs to the last fifth of the epochs. The learning rate is almost
# zero by then, which flattens every curve, so little is enough.
FALLING = 0.01
_LAST = 5  # the last fifth
_MOST = 6  # losses in one sentence


def not_fitted(comparison: Comparison, below: float = FITTED) -> list[Entrant]:
    """Return the losses whose runs do not fit their own training images."""
    return [e for e in comparison.trained if (fit := e.training_accuracy) is not None and fit < below]


def falling(comparison: Comparison) -> list[Entrant]:
    """Return the losses whose training loss was still falling when training ended, in the median run."""
    return [e for e in comparison.trained if (share := late_fall(e)) is not None and share > FALLING]


def late_fall(entrant: Entrant) -> float | None:
    """Return the median over runs of `share_of_fall`; None without runs of two epochs."""
    found = [share for run in entrant.trained if (share := share_of_fall(run.history)) is not None]
    return plain.median(found) if found else None


def share_of_fall(history: Sequence[HistoryRow]) -> float | None:
    """Return by how much the training loss fell in the last fifth of the epochs, as a share of its whole fall.

    The mean over the last fifth is compared with the mean over the fifth before.

    Returns:
        The share; 0 where the loss did not fall, None with fewer than two epochs.

    Example:
        >>> rows = [HistoryRow(epoch=n, loss=loss, seconds=1.0) for n, loss in enumerate([2.0, 1.5, 1.2, 1.1, 1.0])]
        >>> round(share_of_fall(rows), 2)
        0.1
    """
    if len(history) < 2:
        return None
    window = max(1, len(history) // _LAST)
    losses = [row.loss for row in history]
    end, before = plain.mean(losses[-window:]), plain.mean(losses[-2 * window : -window])
    whole = losses[0] - end
    return max(before - end, 0.0) / whole if whole > 0 else 0.0


def training_sentences(comparison: Comparison) -> list[Sentence]:
    """Return one sentence on the losses that do not fit their training images, and one on those still falling."""
    told = []
    if far := not_fitted(comparison):
        named = listed_first([f"{e.name} {100 * (e.training_accuracy or 0):.0f} %" for e in far], _MOST)
        text = f"Not trained to the end: balanced accuracy on the training images is {named}."
        told.append(Sentence("training", text, tuple(Claim(e.label, "not-fitted") for e in far)))
    if moving := falling(comparison):
        named = listed_first([f"{e.name} {100 * (late_fall(e) or 0):.1f} %" for e in moving], _MOST)
        text = (
            "The training loss was still falling: in the last fifth of the epochs it fell by this share of its whole "
            f"fall, where {100 * FALLING:g} % is the limit: {named}."
        )
        told.append(Sentence("training", text, tuple(Claim(e.label, "still-falling") for e in moving)))
    return told
