"""Figures class by class: recall, confusion matrices, reliability."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np

from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from ...verdict.rare_classes import reliability
from ..tables.classes import order_note, recall_interval, shown_classes
from .drawing import INK, MUTED, legend_below, new_figure, percent_axis, short
from .picture import MOST_SMALL, Picture, few, style_of

_MOST_CLASSES = 20


def by_class(comparison: Comparison) -> Picture:
    """Draw the recall of each class, from the most to the least frequent in training."""
    classes = comparison.classes
    shown = shown_classes(classes)
    entrants = comparison.entrants if len(comparison.entrants) <= 7 else few(comparison)
    thick = 0.86 / len(entrants)
    figure, axis = new_figure(0.9 + len(shown) * (0.14 + 0.085 * len(entrants)))
    for n, entrant in enumerate(entrants):
        style, recall = style_of(comparison, entrant), classes.recall(entrant)
        for row, c in enumerate(shown):
            if not classes.test[c]:
                continue
            y = -row + 0.43 - thick * (n + 0.5)
            axis.barh(y, recall[c], height=thick * 0.82, color=style.color, alpha=0.85, lw=0,
                      label=short(entrant.label) if row == 0 else None)  # fmt: skip
            axis.plot(recall_interval(float(recall[c]), classes.test[c]), [y, y], color=INK, lw=0.6, alpha=0.55)
    counts = ["" if classes.training is None else f" · {classes.training[c]:,.0f}" for c in shown]
    ticks = [f"{short(classes.labels[c], 14)}{count}" for c, count in zip(shown, counts, strict=True)]
    axis.set_yticks([-row for row in range(len(shown))], ticks, color=INK)
    axis.set_ylim(-len(shown) + 0.45, 0.55)
    axis.set_xlim(0, 1)
    percent_axis(axis, "x", "recall, per cent")
    handles, _ = axis.get_legend_handles_labels()
    legend_below(axis, handles=handles)
    beside = "" if classes.training is None else " Beside each class: its number of training images."
    note = f"Mean over seeds, with the Wilson interval of one run's test images; {order_note(classes)}.{beside}"
    return Picture("by-class", "Recall by class", figure, "Recall by class", note)


def confusions(comparison: Comparison) -> list[Picture]:
    """Draw one confusion matrix per entrant, of the first ones."""
    return [_confusion(comparison, entrant) for entrant in comparison.entrants[:MOST_SMALL]]


def reliabilities(comparison: Comparison) -> Picture:
    """Draw how often predictions of each confidence are right."""
    figure, axis = new_figure(3.4)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    for entrant in comparison.entrants if len(comparison.entrants) <= 7 else few(comparison):
        style = style_of(comparison, entrant)
        found = reliability((entrant.test_scores(run), run.targets) for run in entrant.runs.values())
        axis.plot(found.confidence, found.accuracy, color=style.color, ls=style.line, marker=style.marker, ms=3.5,
                  lw=1.4, label=short(entrant.label))  # fmt: skip
    axis.set_xlim(0, 1.02)
    axis.set_ylim(0, 1.02)
    percent_axis(axis, "y", "right, per cent")
    percent_axis(axis, "x", "confidence, per cent")
    legend_below(axis)
    note = "Test images of all seeds in bins of confidence. Below the diagonal: overconfident."
    return Picture("reliability", "Reliability", figure, "Reliability curves", note)


def _confusion(comparison: Comparison, entrant: Entrant) -> Picture:
    matrix, names = comparison.classes.confusion(entrant), comparison.classes.labels
    classes = len(names)
    figure, axis = new_figure(3.7, 3.9)
    color = mpl.colors.to_rgb("#3b7dc4")
    image = np.zeros((classes, classes, 4))
    image[..., :3], image[..., 3] = color, np.nan_to_num(matrix) * 0.9
    axis.imshow(image, interpolation="nearest", aspect="equal")
    if classes <= _MOST_CLASSES:
        for true in range(classes):
            for called in range(classes):
                value = matrix[true, called]
                if np.isfinite(value) and value >= 0.005:
                    axis.text(called, true, f"{100 * value:.0f}", ha="center", va="center", color=INK,
                              fontsize=8 if classes <= 10 else 5.5)  # fmt: skip
        shown = [short(name, 11) for name in names]
        axis.set_xticks(range(classes), shown, rotation=55, ha="right", rotation_mode="anchor", fontsize=7.5)
        axis.set_yticks(range(classes), shown, fontsize=7.5)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(short(entrant.label, 40))
    title = f"Confusion matrix of {entrant.label}"
    return Picture(f"confusion-{entrant.label}", title, figure, title)
