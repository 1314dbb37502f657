"""Recall, calibration and scatter class by class, and changes in the confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...harness.evaluation.metrics import wilson_interval
from ...verdict.class_table import ClassTable
from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from ...verdict.format import points
from ...verdict.rare_classes import classwise_calibration, geometry
from ...verdict.runs import joined_predictions
from .table import Table

_MOST_CLASSES = 20
_CHANGES = 10


def recall_by_class(comparison: Comparison) -> Table:
    """Return the recall of each class, from the most to the least frequent in training."""
    classes = comparison.classes
    shown = shown_classes(classes)
    rows = []
    for entrant in comparison.entrants:
        recall = classes.recall(entrant)
        cells = (
            "-" if not classes.test[c] else f"{100 * recall[c]:.0f} ({_wilson(recall[c], classes.test[c])})"
            for c in shown
        )
        rows.append((entrant.label, *cells))
    note = (
        "Recall in per cent, mean over seeds, with the Wilson interval of one run's test images; "
        f"{order_note(classes)}."
    )
    return Table("recall", "Class by class", ("loss", *(classes.labels[c] for c in shown)), tuple(rows), note)


def tail(comparison: Comparison) -> Table:
    """Return the worst class, and calibration and scatter of the rare classes."""
    classes = comparison.classes
    rows = []
    for entrant in comparison.entrants:
        recall = classes.recall(entrant)
        worst = int(np.nanargmin(recall))
        cells = _calibration(classes, entrant)
        rows.append((entrant.label, f"{classes.labels[worst]} {100 * recall[worst]:.0f}", *cells))
    note = (
        "Worst class: its recall in per cent. ECE: classwise calibration error in per cent over all test images, mean "
        "over all classes and over the rarest third; in brackets what a calibrated model shows by chance. Scatter: "
        "within a class, root mean squared distance to its mean over the mean distance between class means; of all "
        "classes and of the rarest third."
    )
    columns = ("loss", "worst class", "ECE", "ECE, tail", "scatter", "scatter, tail")
    return Table("tail", "The tail: worst class, calibration, geometry", columns, tuple(rows), note)


def confusion_difference(comparison: Comparison) -> Table | None:
    """Return the largest changes in the confusion matrix from plain softmax to the best loss as trained."""
    base = comparison.baseline
    best = next((e for e in comparison.entrants if e is not base and not e.derived), None)
    if base is None or best is None:
        return None
    classes = comparison.classes
    before, after = classes.confusion(base), classes.confusion(best)
    change = after - before
    ranked = np.dstack(np.unravel_index(np.argsort(-np.abs(np.nan_to_num(change)), axis=None), change.shape))[0]
    rows = [
        (f"{classes.labels[true]} called {classes.labels[called]}", f"{100 * before[true, called]:.1f}",
         f"{100 * after[true, called]:.1f}", points(change[true, called]))
        for true, called in ranked[:_CHANGES].tolist()
        if np.isfinite(change[true, called]) and abs(change[true, called]) >= 0.0005
    ]  # fmt: skip
    title = f"What {best.label} changes against {base.label}"
    note = "Per cent of the images of the true class, means over seeds; the largest changes."
    return Table("changes", title, ("images", base.label, best.label, "change"), tuple(rows), note)


def shown_classes(classes: ClassTable) -> list[int]:
    """Return the places of the classes that a table or figure has room for: the first five and the last fifteen."""
    places = list(range(len(classes.labels)))
    return places if len(places) <= _MOST_CLASSES else [*places[:5], *places[-15:]]


def order_note(classes: ClassTable) -> str:
    """Return how the classes are ordered, for notes."""
    if classes.by_rank:
        return "every seed makes other classes rare: rank 1 is the most frequent class of each seed in training"
    if classes.training is None:
        return "classes in the order of the table"
    return "classes from the most to the least frequent in training"


def recall_interval(recall: float, images: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a recall over the test images of one run."""
    return wilson_interval(round(recall * images), round(images)) or (0.0, 1.0)


def _wilson(recall: float, images: float) -> str:
    low, high = recall_interval(recall, images)
    return f"{100 * low:.0f} to {100 * high:.0f}"


def _calibration(classes: ClassTable, entrant: Entrant) -> tuple[str, ...]:
    """Return ECE and scatter, over all classes and over the rarest third."""
    count = len(classes.labels)
    rare = slice(count - max(1, count // 3), None)
    errors, nulls, scatters = [], [], []
    for seed, run in entrant.runs.items():
        order, stored = classes.order(seed), [part.with_embeddings() for part in run.trained]
        whole = joined_predictions(stored, run.rows) if run.folds else stored[0]
        calibration = classwise_calibration(entrant.test_scores(run, whole), entrant.seed_targets[seed])
        errors.append(calibration.error[order])
        nulls.append(calibration.null[order])
        for part in stored:
            found = geometry(part.test.vectors, part.test.targets, count)
            scatters.append(np.full(count, np.nan) if found is None else found.scatter[order])
    error, null = (np.mean(values, axis=0) for values in (errors, nulls))
    scatter = [_nanmean(column) for column in np.transpose(scatters)]
    return (
        *(f"{100 * error[part].mean():.1f} ({100 * null[part].mean():.1f})" for part in (slice(None), rare)),
        *(f"{_nanmean(scatter[part]):.2f}" for part in (slice(None), rare)),
    )


def _nanmean(values: Any) -> float:
    kept = np.asarray(values)[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")
