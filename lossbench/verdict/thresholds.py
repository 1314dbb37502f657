"""Is it the loss, or the threshold? One run's scores under other decision rules and other test priors.

- Post-hoc logit adjustment (Menon et al., ICLR 2021): tau * log(frequency) is subtracted from each class's score, where
  the frequency is that at which the sampler draws the class. tau = 1 turns scores that carry these frequencies into
  scores for equal ones; with a balanced sampler it changes nothing. Other values of tau are chosen on the selection
  split, never on the test split.
- The refit: a balanced linear classifier on the frozen embeddings, stored with the run.
- Test priors: the accuracy for a test class distribution as in the training table, uniform, or reversed. Recalls do
  not depend on the prior, so they are reweighted; "adjusted" shifts the scores from the drawn frequencies to the test
  prior, which is possible if the test prior is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..runs.predictions import Predictions

Array = npt.NDArray[Any]

TAUS = np.round(np.arange(-1.0, 3.0001, 0.05), 2)
PRIORS = ("training-like", "uniform", "reversed")


class Thresholds(NamedTuple):
    """Attributes:
    as_trained: balanced accuracy of the argmax of the scores.
    tau_1: with post-hoc adjustment, tau = 1.
    tau: the best tau on the selection split; None without a selection split.
    tuned: balanced accuracy with it; None without.
    refit: of the balanced linear classifier on the embeddings; None where it was not fitted.
    sweep: test prior -> accuracy under it, as trained and adjusted to it.
    """

    as_trained: float
    tau_1: float
    tau: float | None
    tuned: float | None
    refit: float | None
    sweep: dict[str, tuple[float, float]]


def thresholds(predictions: Predictions, drawn_counts: npt.ArrayLike, training_counts: npt.ArrayLike) -> Thresholds:
    """Evaluate one run under several decision rules.

    Args:
        predictions: of the run.
        drawn_counts: (C,) images of each class as the sampler draws them: the prior that the scores carry.
        training_counts: (C,) images of each class in the training table: what the test priors are made from.
    """
    frequency = frequencies(drawn_counts)
    scores, targets, selection = predictions.test.scores, predictions.test.targets, predictions.selection
    tau = None if selection is None else best_tau(selection.scores, selection.targets, frequency)
    refit = predictions.refit_scores
    return Thresholds(
        as_trained=balanced_accuracy(scores, targets),
        tau_1=balanced_accuracy(shifted(scores, frequency, 1.0), targets),
        tau=tau,
        tuned=None if tau is None else balanced_accuracy(shifted(scores, frequency, tau), targets),
        refit=None if refit is None else balanced_accuracy(refit, targets),
        sweep={
            name: (
                _under(prior, scores, targets),
                _under(prior, shifted(scores, frequency, 1.0) + np.log(np.maximum(prior, 1e-12)), targets),
            )
            for name, prior in priors(frequencies(training_counts)).items()
        },
    )


def frequencies(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return counts divided by their sum."""
    values = np.asarray(counts, dtype=np.float64)
    return np.asarray(values / values.sum())


def shifted(scores: Array, frequency: Array, tau: float) -> Array:
    """Return the (N, C) scores after post-hoc logit adjustment.

    Args:
        scores: (N, C).
        frequency: (C,) at which the sampler draws each class, positive, summing to 1.
        tau: strength of the adjustment; 0 changes nothing.

    Example:
        >>> int(shifted(np.array([[2.0, 1.0]]), np.array([0.9, 0.1]), 1.0).argmax())
        1
    """
    return np.asarray(scores - tau * np.log(frequency))


def balanced_accuracy(scores: Array, targets: Array) -> float:
    """Mean recall over the classes that have images here."""
    return float(np.mean(recalls(scores.argmax(axis=1), targets, scores.shape[1])[np.unique(targets)]))


def recalls(predictions: Array, targets: Array, classes: int) -> npt.NDArray[np.float64]:
    """(C,) recall of each class; NaN without images."""
    counts = np.bincount(targets, minlength=classes)
    hits = np.bincount(targets[predictions == targets], minlength=classes)
    return np.asarray(np.divide(hits, counts, out=np.full(classes, np.nan), where=counts > 0))


def best_tau(scores: Array, targets: Array, frequency: Array) -> float:
    """The tau of the greatest balanced accuracy: the middle of the longest stretch of taus that reach it.

    A small selection split is served equally well by many; the middle is the farthest from where it is served worse.

    Args:
        scores: (N, C) of the selection split.
        targets: (N,).
        frequency: (C,) at which the sampler draws each class.
    """
    reached = np.array([balanced_accuracy(shifted(scores, frequency, tau), targets) for tau in TAUS])
    best = np.flatnonzero(np.isclose(reached, reached.max()))
    stretches = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(stretches, key=len)
    return float(TAUS[longest[len(longest) // 2]])


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
