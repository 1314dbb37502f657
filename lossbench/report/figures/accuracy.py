"""Plots of accuracy: every run, every pair, over time, against cost, and by tuning."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...verdict.best_of_trials import best_of_curve
from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from ...verdict.metric import BALANCED_ACCURACY
from .drawing import CARD, INK, MUTED, legend_below, new_figure, percent_axis, series, short
from .picture import Picture, style_of

_MOST_PAIRS, _MOST_LEAD = 30, 9


def lead(comparison: Comparison) -> Picture:
    """Draw the picture beside the decision: the metric of the first entrants."""
    entrants = comparison.entrants
    left_out = len(entrants) - _MOST_LEAD
    more = f" {left_out} more below." if left_out > 0 else ""
    drawn = _scores(comparison, entrants[:_MOST_LEAD], 0.27)
    note = f"Means with 95 % intervals for new seeds and new test images; dots are runs.{more}"
    return Picture("lead", "Every run", drawn, f"{comparison.metric.title} of every run", note)


def scores(comparison: Comparison) -> Picture:
    """Draw the metric of every run, and the means."""
    note = (
        "Dots: runs. Bars: means. Lines: 95 % intervals for new seeds and new test images (of one loss; intervals of "
        "pairs are tighter)."
    )
    drawn = _scores(comparison, comparison.entrants, 0.34)
    return Picture("scores", "Every run", drawn, f"{comparison.metric.title} of every run", note)


def _scores(comparison: Comparison, entrants: Sequence[Entrant], inches: float) -> Figure:
    """Draw one line of dots, bar and interval per entrant."""
    figure, axis = new_figure(0.6 + inches * len(entrants))
    for row, entrant in enumerate(entrants):
        style = style_of(comparison, entrant)
        values = list(entrant.scores.values())
        axis.plot(values, [-row] * len(values), "o", color=style.color, ms=4, alpha=0.45, mew=0)
        axis.plot([entrant.mean] * 2, [-row - 0.26, -row + 0.26], color=style.color, lw=2.4)
        if entrant.interval is not None:
            axis.plot(entrant.interval, [-row] * 2, color=style.color, lw=1)
    axis.set_yticks([-row for row in range(len(entrants))], [short(e.label) for e in entrants], color=INK)
    axis.set_ylim(-len(entrants) + 0.4, 0.6)
    axis.spines["left"].set_visible(False)
    percent_axis(axis, "x", f"{comparison.metric.name}, per cent")
    return figure


def forest(comparison: Comparison) -> Picture | None:
    """Draw the difference of each pair with its interval."""
    pairs = [p for p in comparison.pairs if p.interval is not None]
    if len(pairs) > _MOST_PAIRS:
        leading = {e.label for e in comparison.entrants[:1]} | {b.label for b in [comparison.baseline] if b}
        pairs = [p for p in pairs if {p.first, p.second} & leading] or pairs[:_MOST_PAIRS]
    if not pairs:
        return None
    figure, axis = new_figure(0.7 + 0.36 * len(pairs))
    reach = [x for p in pairs for x in (*(p.interval or ()), p.mean, 0.0) if math.isfinite(x)]
    room = 0.08 * (max(reach) - min(reach)) or 0.01
    ends = min(reach) - room, max(reach) + room
    for row, pair in enumerate(pairs):
        y, color = -row, series(0) if pair.different else MUTED
        # An interval without end, where runs do not vary, reaches from edge to edge.
        axis.plot(np.clip(pair.interval or (), *ends), [y, y], color=color, lw=2.4, solid_capstyle="butt")
        axis.plot([pair.mean], [y], "o", color=color, ms=5, mec=CARD, mew=0.8)
        axis.annotate(
            f"{short(pair.first)} - {short(pair.second)}", (0, y + 0.24), xycoords=("axes fraction", "data"),
            fontsize=8, color=INK if pair.different else MUTED, bbox={"fc": CARD, "ec": "none", "pad": 0.6},
        )  # fmt: skip
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks([])
    axis.set_ylim(-len(pairs) + 0.4, 0.8)
    axis.spines["left"].set_visible(False)
    axis.set_xlim(*ends)
    percent_axis(axis, "x", f"points of {comparison.metric.name}")
    note = (
        "95 % intervals for new seeds and new test images, simultaneous over the pairs of a sampler. Blue pairs "
        "differ: their interval excludes 0."
    )
    return Picture("forest", "Differences, paired by seed", figure, "Intervals of all pairs", note)


def over_time(comparison: Comparison) -> Picture | None:
    """Draw the accuracy on the selection split by epoch."""
    figure, axis = new_figure(3.1)
    drawn = False
    for entrant in comparison.trained:
        curves = [[row.selection_balanced_accuracy for row in run.history] for run in entrant.trained]
        length = min(map(len, curves))
        if not length or any(value is None for curve in curves for value in curve):
            continue
        values, style = np.array([curve[:length] for curve in curves], dtype=np.float64), style_of(comparison, entrant)
        epochs = np.arange(1, length + 1)
        axis.plot(epochs, values.mean(axis=0), color=style.color, ls=style.line, lw=1.6, label=short(entrant.label),
                  marker=style.marker if length < 3 else None, ms=4)  # fmt: skip
        axis.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=style.color, alpha=0.1, lw=0)
        drawn = True
    if not drawn:
        return None
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axis, "y", f"{BALANCED_ACCURACY.name}, per cent")
    legend_below(axis)
    note = "On the selection split, which is held out from training. Mean over seeds; the band spans the seeds."
    return Picture("over-time", "Selection accuracy over time", figure, "Selection accuracy by epoch", note)


def cost_plot(comparison: Comparison) -> Picture:
    """Draw the metric against training time."""
    figure, axis = new_figure(3.1)
    for entrant in comparison.trained:
        style = style_of(comparison, entrant)
        seconds = [run.record.timing.train_seconds for run in entrant.trained]
        across = statistics.mean(seconds)
        axis.plot([min(seconds), max(seconds)], [entrant.mean] * 2, color=style.color, lw=1, alpha=0.6)
        if entrant.sd is not None:
            axis.plot([across] * 2, [entrant.mean - entrant.sd, entrant.mean + entrant.sd], color=style.color, lw=1)
        axis.plot([across], [entrant.mean], style.marker, color=style.color, ms=7, mec=CARD, mew=0.8,
                  label=short(entrant.label))  # fmt: skip
    axis.set_xlabel("seconds of training")
    axis.margins(0.12)
    percent_axis(axis, "y", f"{comparison.metric.name}, per cent")
    axis.grid(axis="x")
    legend_below(axis)
    note = "Means over seeds. Horizontal lines: fastest to slowest run. Vertical lines: one standard deviation."
    return Picture("cost", "Accuracy against cost", figure, f"{comparison.metric.title} against training time", note)


def tuning_curves(comparison: Comparison) -> Picture | None:
    """Draw the expected best of k trials."""
    if not comparison.trials:
        return None
    figure, axis = new_figure(2.8)
    for number, (loss, mine) in enumerate(comparison.trials_of().items()):
        values = [t.score for t in mine if t.score is not None]
        if values:
            curve = best_of_curve(values)
            axis.plot(range(1, len(curve) + 1), curve, color=series(number), marker="o", ms=3.5, label=short(loss))
    axis.set_xlabel("trials")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axis, "y", f"{BALANCED_ACCURACY.name}, per cent")
    legend_below(axis)
    note = "Expected best of k random trials, on the selection split."
    return Picture("tuning-curves", "Gain from tuning", figure, "Expected best of k trials", note)
