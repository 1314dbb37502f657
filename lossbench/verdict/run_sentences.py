"""Sentences about one run: how well it classifies, and the limits of that result."""

from __future__ import annotations

from ..printable import shortened
from .comparison import Comparison
from .failures import failure_sentences
from .sentence import Sentence
from .small_classes import small_class_sentences
from .training_sentences import FALLING, falling, late_fall, not_fitted

_LONGEST = 60  # characters of a formula in the first line


def run_sentences(comparison: Comparison) -> list[Sentence]:
    """Return the result of a single run as sentences; the first is the score.

    Args:
        comparison: judged comparison of that run alone.
    """
    entrant = comparison.trained[0]
    run = entrant.any_run
    data, metric = run.record.data, comparison.metric.name
    told = [Sentence("decision", f"{shortened(run.record.formula, _LONGEST)}: {100 * entrant.mean:.1f} % {metric}")]
    if entrant.interval is not None:
        low, high = entrant.interval
        told.append(Sentence("interval", f"95 % interval over test images: {100 * low:.1f} to {100 * high:.1f} %."))
    constant = comparison.references[0]
    told.append(Sentence("reference", f"Always naming one class scores {100 * constant.value:.1f} %."))
    told += failure_sentences(comparison)
    told += _training(comparison)
    told += small_class_sentences(comparison)
    text = (
        f"Trained on {sum(data.training_counts.values()):,} images of {len(data.class_names)} classes, evaluated on "
        f"{sum(data.test_counts.values()):,} test images ({data.split_origin}). One run with seed {run.seed}: other "
        "seeds give other numbers. Only a comparison over seeds shows whether a loss is better than another one."
    )
    return [*told, Sentence("finding", text)]


def _training(comparison: Comparison) -> list[Sentence]:
    """Return what shows that training was not over."""
    (entrant, *_), told = comparison.trained, []
    if not_fitted(comparison):
        share = 100 * (entrant.training_accuracy or 0)
        text = f"Not trained to the end: balanced accuracy on the training images is {share:.0f} %."
        told.append(Sentence("training", text))
    if falling(comparison):
        text = (
            f"The training loss was still falling: {100 * (late_fall(entrant) or 0):.1f} % of its whole fall belong to "
            f"the last fifth of the epochs, where {100 * FALLING:g} % is the limit."
        )
        told.append(Sentence("training", text))
    return told
