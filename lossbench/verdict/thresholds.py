"""Is it the loss, or the threshold? One run's scores under other decision rules and other test priors.

- Post-hoc logit adjustment (Menon et al., ICLR 2021): tau * log(training frequency) is subtracted from each class's
  score. tau = 1 is right for plain softmax under the natural sampler and for little else, so every run's tau is
  measured on its selection split (`carried_prior`); without an image of every class there, nothing rests on it.
  Another sampler draws other frequencies than those of the training table, so tau = 1 is never assumed there.
- The refit: a balanced linear classifier on the frozen embeddings, stored with the run. It sees embeddings of images
  that the backbone has memorized, so it understates what the representation is worth.
- Test priors: the accuracy for a test class distribution as in the training table, uniform, or reversed. Recalls do
  not depend on the prior, so they are reweighted; "adjusted" takes the prior that the scores carry off them and adds
  the test prior, which is possible if the test prior is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..data import Sampler
from ..runs.grid_file import BASELINE
from ..runs.predictions import Predictions
from ..runs.record import Record
from .carried_prior import carried_prior

Array = npt.NDArray[Any]

_TAUS = (-1.0, 3.0)  # among which the best shift is found
_BLOCK = 500_000  # scores at a time, so that memory does not grow with images and classes
PRIORS = ("training-like", "uniform", "reversed")


class Thresholds(NamedTuple):
    """Balanced accuracy of one run under decision rules that shift its scores.

    Attributes:
        as_trained: balanced accuracy of the argmax of the scores.
        tau_1: with the training frequencies taken off once; None except for plain softmax under the natural sampler.
        tau: power of the training prior that the scores carry, measured on the selection split; None if it cannot be.
        tuned: balanced accuracy with it; None without.
        best_shift: balanced accuracy with the best tau for the test images themselves: a bound, not a result.
        refit: of the balanced linear classifier on the embeddings; None where it was not fitted.
        sweep: test prior -> accuracy under it, as trained and adjusted; None if the carried prior is not known.
    """

    as_trained: float
    tau_1: float | None
    tau: float | None
    tuned: float | None
    best_shift: float
    refit: float | None
    sweep: dict[str, tuple[float, float | None]]

    @property
    def control(self) -> float | None:
        """Tau of the control: 1 for plain softmax under the natural sampler, else as measured; None if unknown."""
        return self.tau if self.tau_1 is None else 1.0


def thresholds_of(record: Record, predictions: Predictions) -> Thresholds:
    """Evaluate a run with a record under several decision rules."""
    plain = record.formula == BASELINE and record.config.get("sampler") == Sampler.NATURAL
    return thresholds(predictions, record.data.in_order(record.data.training_counts), plain=plain)


def thresholds(predictions: Predictions, training_counts: npt.ArrayLike, *, plain: bool) -> Thresholds:
    """Evaluate one run under several decision rules.

    Args:
        predictions: of the run.
        training_counts: (C,) images of each class in the training table.
        plain: whether the run is plain softmax under the natural sampler, whose scores carry the training frequencies
            once.
    """
    frequency = frequencies(training_counts)
    scores, targets, selection = predictions.test.scores, predictions.test.targets, predictions.selection
    tau = None if selection is None else carried_prior(selection.scores, selection.targets, training_counts)
    once = np.log(frequency) if plain else None
    carried = once if tau is None else tau * np.log(frequency)
    refit = predictions.refit_scores
    as_trained = balanced_accuracy(scores, targets)
    tau_1 = None if once is None else balanced_accuracy(scores - once, targets)
    tuned = None if tau is None else balanced_accuracy(shifted(scores, frequency, tau), targets)
    return Thresholds(
        as_trained=as_trained,
        tau_1=tau_1,
        tau=tau,
        tuned=tuned,
        best_shift=max(best_shift(scores, targets, frequency), as_trained, tau_1 or 0.0, tuned or 0.0),
        refit=None if refit is None else balanced_accuracy(refit, targets),
        sweep={
            name: (
                _under(prior, scores, targets),
                None
                if carried is None
                else _under(prior, scores - carried + np.log(np.maximum(prior, 1e-12)), targets),
            )
            for name, prior in priors(frequency).items()
        },
    )


def best_shift(scores: Array, targets: Array, frequency: Array) -> float:
    """Return the best balanced accuracy over all tau from -1 to 3, exactly.

    Every image is classified correctly on an interval of tau, since differences of shifted scores are linear in it; the
    best tau is where intervals of most weight overlap.

    Args:
        scores: (N, C).
        targets: (N,).
        frequency: (C,) of the training table.

    Example:
        >>> best_shift(np.array([[2.0, 1.0], [3.0, 0.0]]), np.array([1, 0]), np.array([0.9, 0.1]))
        1.0
    """
    logs, counts = np.log(frequency), np.bincount(targets)
    weight = 1 / (counts[targets] * (counts > 0).sum())
    size = max(1, _BLOCK // len(logs))
    lows, highs = np.empty(len(targets)), np.empty(len(targets))
    for start in range(0, len(targets), size):
        rows = slice(start, start + size)
        own, score = targets[rows], scores[rows].astype(np.float64)
        lead = score[np.arange(len(own)), own][:, None] - score
        slope = logs[own][:, None] - logs
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = lead / slope
        lows[rows] = np.where(slope < 0, bound, _TAUS[0]).max(axis=1)
        highs[rows] = np.where(slope > 0, bound, np.where((slope == 0) & (lead < 0), -np.inf, _TAUS[1])).min(axis=1)
    kept = lows <= highs
    ends = np.concatenate([lows[kept], highs[kept]])
    change = np.concatenate([weight[kept], -weight[kept]])
    order = np.lexsort((-change, ends))  # at a tie, an interval that begins counts before another ends
    return float(max(change[order].cumsum().max(initial=0.0), 0.0))


def frequencies(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return counts divided by their sum."""
    values = np.asarray(counts, dtype=np.float64)
    return np.asarray(values / values.sum())


def shifted(scores: Array, frequency: Array, tau: float) -> Array:
    """Return the (N, C) scores after post-hoc logit adjustment.

    Args:
        scores: (N, C).
        frequency: (C,) of the training table, positive, summing to 1.
        tau: strength of the adjustment; 0 changes nothing.

    Example:
        >>> int(shifted(np.array([[2.0, 1.0]]), np.array([0.9, 0.1]), 1.0).argmax())
        1
    """
    return np.asarray(scores - tau * np.log(frequency))


def balanced_accuracy(scores: Array, targets: Array) -> float:
    """Mean recall over the classes that have images here."""
    found = recalls(scores.argmax(axis=1), targets, scores.shape[1])
    return float(found[np.isfinite(found)].mean())


def recalls(predictions: Array, targets: Array, classes: int) -> npt.NDArray[np.float64]:
    """(C,) recall of each class; NaN without images."""
    counts = np.bincount(targets, minlength=classes)
    hits = np.bincount(targets[predictions == targets], minlength=classes)
    return np.asarray(np.divide(hits, counts, out=np.full(classes, np.nan), where=counts > 0))


def priors(frequency: Array) -> dict[str, npt.NDArray[np.float64]]:
    """Return the test priors: as in training, uniform, and reversed (the rarest class with the commonest's share).

    Args:
        frequency: (C,) of the training table.

    Example:
        >>> priors(np.array([0.7, 0.1, 0.2]))["reversed"].tolist()
        [0.1, 0.7, 0.2]
    """
    order = np.argsort(frequency, kind="stable")
    swapped = np.empty_like(frequency)
    swapped[order] = frequency[order[::-1]]
    return dict(zip(PRIORS, (frequency, np.full(len(frequency), 1 / len(frequency)), swapped), strict=True))


def _under(prior: Array, scores: Array, targets: Array) -> float:
    """Accuracy if classes were so frequent; those without test images are left out."""
    recall = recalls(scores.argmax(axis=1), targets, len(prior))
    here = np.isfinite(recall)
    return float(np.average(recall[here], weights=prior[here]))
