"""Tables of one run: its metrics, recalls, and decision rules."""

from __future__ import annotations

from ...runs.record import Metrics
from ...verdict.comparison import Comparison
from ...verdict.format import power
from ...verdict.metric import BALANCED_ACCURACY
from ...verdict.runs import Run
from ...verdict.thresholds import Thresholds
from .classes import shown_classes
from .table import Table

_METRICS = {
    "balanced_accuracy": BALANCED_ACCURACY.name,
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "cohen_kappa": "Cohen's kappa",
    "krippendorff_alpha": "Krippendorff's alpha",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "mean_average_precision_at_r": "MAP@R of embeddings",
}
_PRIORS = {"training-like": "as in training", "uniform": "uniform", "reversed": "training reversed"}


def the_run(comparison: Comparison) -> Run:
    """Return the only run of a comparison."""
    return comparison.trained[0].any_run


def metrics_table(metrics: Metrics) -> Table:
    """Return every metric on the test split."""
    rows = tuple((name, number(getattr(metrics, key))) for key, name in _METRICS.items())
    return Table("metrics", "", ("", ""), rows, best=frozenset({0}))


def metrics_of_run(comparison: Comparison) -> Table:
    """Return every metric of the only run on the test split."""
    table = metrics_table(the_run(comparison).record.metrics)
    return Table(table.key, "Metrics on the test split", ("metric", "value"), table.rows, best=table.best)


def recalls_of_run(comparison: Comparison) -> Table:
    """Return the recall of each class, from the most to the least frequent in training."""
    data, metrics = the_run(comparison).record.data, the_run(comparison).record.metrics
    rows = []
    for place in shown_classes(comparison.classes):
        name = comparison.classes.labels[place]
        recall, interval = metrics.per_class_recall.get(name), metrics.per_class_recall_interval_95.get(name)
        span = "-" if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f}"
        value = "-" if recall is None else f"{100 * recall:.1f}"
        rows.append((name, f"{data.training_counts[name]:,}", f"{data.test_counts[name]:,}", value, span))
    columns = ("class", "training images", "test images", "recall", "95 % interval")
    note = "Recall in per cent with its Wilson interval; classes from the most to the least frequent in training."
    return Table("recall", "Recall by class", columns, tuple(rows), note)


def rules_table(found: Thresholds) -> Table:
    """Return balanced accuracy under other decision rules."""
    rules = [("scores as trained", number(found.as_trained))]
    if found.tau_1 is not None:
        rules.append(("scores shifted by the training frequencies, tau = 1", number(found.tau_1)))
    if found.tau is not None:
        rules.append(
            (f"scores carry the training prior to the power {power(found.tau)}; taken off", number(found.tuned))
        )
    refit = "not fitted" if found.refit is None else number(found.refit)
    rules.append(("balanced linear refit on the embeddings", refit))
    columns = ("decision by", BALANCED_ACCURACY.name)
    return Table("thresholds", "Is it the loss or the decision threshold?", columns, tuple(rules))


def priors_table(found: Thresholds) -> Table:
    """Return accuracy under other class distributions of the test split."""
    rows = tuple(
        (_PRIORS[prior], number(trained), "-" if adjusted is None else number(adjusted))
        for prior, (trained, adjusted) in found.sweep.items()
    )
    columns = ("test class distribution", "as trained", "scores shifted to it")
    return Table("priors", "Accuracy under other class distributions", columns, rows)


def rules_of_run(comparison: Comparison) -> Table:
    """Return balanced accuracy of the only run under other decision rules."""
    return rules_table(the_run(comparison).thresholds)


def priors_of_run(comparison: Comparison) -> Table:
    """Return accuracy of the only run under other class distributions."""
    return priors_table(the_run(comparison).thresholds)


def number(value: float | None) -> str:
    """Return a share with three decimals, or "undefined"."""
    return "undefined" if value is None else f"{value:.3f}"
