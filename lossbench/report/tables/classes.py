"""Recall, calibration and scatter class by class, and changes in the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...harness.evaluation.metrics import wilson_interval
from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from ...verdict.format import points
from ...verdict.rare_classes import calibration_by_class, geometry
from .table import Table

_MOST_CLASSES = 20
_CHANGES = 10


def recall_by_class(comparison: Comparison) -> Table:
    """Return the recall of each class, from the most to the least frequent in training."""
    data = comparison.entrants[0].any_run.record.data
    names, order = comparison.class_names, _by_frequency(comparison)
    shown = order if len(order) <= _MOST_CLASSES else [*order[:5], *order[-15:]]
    rows = []
    for entrant in comparison.entrants:
        recall = np.diagonal(entrant.confusion())
        images = [data.test_counts[names[c]] for c in shown]
        cells = ("-" if not n else f"{100 * recall[c]:.0f} ({_wilson(recall[c], n)})"
                 for c, n in zip(shown, images, strict=True))  # fmt: skip
        rows.append((entrant.label, *cells))
    note = (
        "Recall in per cent, mean over seeds, with the Wilson interval of one run's test images; classes from the most "
        "to the least frequent in training."
    )
    return Table("recall", "Class by class", ("loss", *(names[c] for c in shown)), tuple(rows), note)


def tail(comparison: Comparison) -> Table:
    """Return the worst class, and calibration and scatter of the rare classes."""
    names, order = comparison.class_names, _by_frequency(comparison)
    rows = []
    for entrant in comparison.entrants:
        recall = np.diagonal(entrant.confusion())
        worst = int(np.nanargmin(recall))
        rows.append((entrant.label, f"{names[worst]} {100 * recall[worst]:.0f}", *_calibration(entrant, order)))
    note = (
        "Worst class: its recall in per cent. ECE: expected calibration error in per cent, class by class, mean over "
        "all classes and over the rarest third. Scatter: within a class, root mean squared distance to its mean over "
        "the mean distance between class means; of all classes and of the rarest third."
    )
    columns = ("loss", "worst class", "ECE", "ECE, tail", "scatter", "scatter, tail")
    return Table("tail", "The tail: worst class, calibration, geometry", columns, tuple(rows), note)


def _by_frequency(comparison: Comparison) -> list[int]:
    counts = comparison.entrants[0].any_run.record.data.training_counts
    return sorted(range(len(comparison.class_names)), key=lambda c: -counts[comparison.class_names[c]])


def confusion_difference(comparison: Comparison) -> Table | None:
    """Return the largest changes in the confusion matrix from plain softmax to the best loss as trained."""
    base = comparison.baseline
    best = next((e for e in comparison.entrants if e is not base and not e.post_hoc), None)
    if base is None or best is None:
        return None
    change = best.confusion() - base.confusion()
    names = comparison.class_names
    ranked = np.dstack(np.unravel_index(np.argsort(-np.abs(np.nan_to_num(change)), axis=None), change.shape))[0]
    rows = [
        (f"{names[true]} called {names[called]}", f"{100 * base.confusion()[true, called]:.1f}",
         f"{100 * best.confusion()[true, called]:.1f}", points(change[true, called]))
        for true, called in ranked[:_CHANGES].tolist()
        if np.isfinite(change[true, called]) and abs(change[true, called]) >= 0.0005
    ]  # fmt: skip
    title = f"What {best.label} changes against {base.label}"
    note = "Per cent of the images of the true class, means over seeds; the largest changes."
    return Table("changes", title, ("images", base.label, best.label, "change"), tuple(rows), note)


def recall_interval(recall: float, images: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a recall over the test images of one run."""
    return wilson_interval(round(recall * images), images) or (0.0, 1.0)


def _wilson(recall: float, images: int) -> str:
    low, high = recall_interval(recall, images)
    return f"{100 * low:.0f} to {100 * high:.0f}"


def _calibration(entrant: Entrant, order: Sequence[int]) -> tuple[str, ...]:
    """Return ECE and scatter, over all classes and over the rarest third."""
    rare = list(order[-max(1, len(order) // 3) :])
    errors, scatters = [], []
    for run in entrant.runs.values():
        targets = run.predictions.test.targets
        scores = entrant.test_scores(run)
        errors.append(calibration_by_class(scores, targets))
        found = geometry(run.with_embeddings().test.vectors, targets, len(order))
        scatters.append(np.full(len(order), np.nan) if found is None else found.scatter)
    error, scatter = np.mean(errors, axis=0), np.mean(scatters, axis=0)
    return (
        *(f"{100 * _nanmean(error[part]):.1f}" for part in (slice(None), rare)),
        *(f"{_nanmean(scatter[part]):.2f}" for part in (slice(None), rare)),
    )


def _nanmean(values: Any) -> float:
    kept = np.asarray(values)[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")
