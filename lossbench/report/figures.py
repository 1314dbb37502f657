"""The plots of a comparison."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from .drawing import (
    CARD,
    INK,
    MUTED,
    WIDTH,
    legend_below,
    new_figure,
    of_class,
    percent_axis,
    series,
    short,
    to_svg,
)
from .statistics import FEWEST_SEEDS, paired_t
from .tables import recall_interval, trained
from .tail import reliability
from .tuned import best_of_curve
from .verdict import Comparison, Entrant

_MOST_PAIRS = 30
_MOST_CLASSES = 20
_MAP_POINTS = 480


@dataclass(frozen=True)
class Picture:
    """Attributes:
    key: for links and tests.
    title: what it shows.
    svg: the drawing.
    note: what a reader must know to read it.
    """

    key: str
    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True)
class Style:
    """How an entrant looks in every figure: a color a loss, a line a sampler."""

    color: str
    line: str
    marker: str


def style_of(comparison: Comparison, entrant: Entrant) -> Style:
    """Color by loss, line and marker by sampler; what is adjusted after training is dotted and in ink."""
    losses = [loss for loss in comparison.records.losses if " #" not in loss]
    number = losses.index(entrant.loss.rpartition(" #")[0] or entrant.loss)
    sampler = comparison.records.samplers.index(entrant.sampler)
    if entrant.post_hoc:
        return Style(INK, ":", "D")
    return Style(series(number), ("-", "--", "-.")[sampler % 3], ("o", "s", "^")[sampler % 3])


def forest(comparison: Comparison) -> Picture | None:
    """Each pair's difference with its intervals."""
    pairs = [p for p in comparison.pairs if p.interval is not None and p.wide is not None]
    if len(pairs) > _MOST_PAIRS:
        leading = {e.label for e in comparison.entrants[:1]} | {b.label for b in [comparison.baseline] if b}
        pairs = [p for p in pairs if {p.first, p.second} & leading] or pairs[:_MOST_PAIRS]
    if not pairs:
        return None
    figure, axis = new_figure(0.7 + 0.36 * len(pairs))
    for row, pair in enumerate(pairs):
        assert pair.interval is not None
        assert pair.wide is not None
        y, color = -row, series(0) if pair.different else MUTED
        axis.plot(pair.wide, [y, y], color=color, lw=1, solid_capstyle="butt")
        axis.plot(pair.interval, [y, y], color=color, lw=3.2, solid_capstyle="butt")
        axis.plot([pair.mean], [y], "o", color=color, ms=5, mec=CARD, mew=0.8)
        if pair.images is not None:
            axis.plot(pair.images, [y - 0.22] * 2, color=INK, lw=1, ls=(0, (1, 1)))
        axis.annotate(
            f"{short(pair.first)} - {short(pair.second)}", (0, y + 0.24), xycoords=("axes fraction", "data"),
            fontsize=8, color=INK if pair.different else MUTED, bbox={"fc": CARD, "ec": "none", "pad": 0.6},
        )  # fmt: skip
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks([])
    axis.set_ylim(-len(pairs) + 0.4, 0.8)
    axis.spines["left"].set_visible(False)
    reach = [x for p in pairs for x in (*(p.interval or ()), *(p.images or ()), p.mean)]
    low, high = min(*reach, 0), max(*reach, 0)
    room = 0.08 * (high - low)
    axis.set_xlim(low - room, high + room)
    percent_axis(axis, "x", "points of balanced accuracy")
    note = (
        "Thick: Student's 95 % interval over seeds, of the pair alone. Thin: with all pairs considered. Dotted: 95 % "
        "over test images. Blue pairs differ (Holm, p < 0.05)."
    )
    return Picture("forest", "Differences, paired by seed", to_svg(figure, "Intervals of all pairs"), note)


def scores(comparison: Comparison) -> Picture:
    """Every run's balanced accuracy, and the means."""
    entrants = comparison.entrants
    figure, axis = new_figure(0.6 + 0.34 * len(entrants))
    for row, entrant in enumerate(entrants):
        style = style_of(comparison, entrant)
        values = list(entrant.scores.values())
        axis.plot(values, [-row] * len(values), "o", color=style.color, ms=4, alpha=0.45, mew=0)
        axis.plot([entrant.mean] * 2, [-row - 0.26, -row + 0.26], color=style.color, lw=2.4)
        if len(values) >= FEWEST_SEEDS:
            half = float(paired_t(values).half_width())
            axis.plot([entrant.mean - half, entrant.mean + half], [-row] * 2, color=style.color, lw=1)
    axis.set_yticks([-row for row in range(len(entrants))], [short(e.label) for e in entrants], color=INK)
    axis.set_ylim(-len(entrants) + 0.4, 0.6)
    axis.spines["left"].set_visible(False)
    percent_axis(axis, "x", "balanced accuracy, per cent")
    note = "A dot a run, a bar the mean, a line its 95 % interval over seeds (unpaired: pairs are tighter)."
    return Picture("scores", "Every run", to_svg(figure, "Balanced accuracy of every run"), note)


def over_time(comparison: Comparison) -> Picture | None:
    """Balanced accuracy on the selection split, by epoch."""
    figure, axis = new_figure(3.1)
    drawn = False
    for entrant in trained(comparison):
        curves = [[row.get("selection_balanced_accuracy") for row in run.history] for run in entrant.runs.values()]
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
    axis.xaxis.get_major_locator().set_params(integer=True)
    percent_axis(axis, "y", "balanced accuracy, per cent")
    legend_below(axis)
    note = (
        "On the selection split, which is carved from training. Mean over seeds; the band reaches from the worst to "
        "the best."
    )
    return Picture("over-time", "Selection accuracy over time", to_svg(figure, "Selection accuracy by epoch"), note)


def by_class(comparison: Comparison) -> Picture:
    """Recall of each class, from the most to the least frequent in training."""
    data = comparison.entrants[0].any_run.record["data"]
    names = comparison.class_names
    order = sorted(range(len(names)), key=lambda c: -data["class_counts"][names[c]])
    if len(order) > _MOST_CLASSES:
        order = [*order[:5], *order[-15:]]
    entrants = comparison.entrants if len(comparison.entrants) <= 7 else _few(comparison)
    thick = 0.86 / len(entrants)
    figure, axis = new_figure(0.9 + len(order) * (0.14 + 0.085 * len(entrants)))
    for n, entrant in enumerate(entrants):
        style, recall = style_of(comparison, entrant), np.diagonal(entrant.confusion())
        for place, c in enumerate(order):
            images = data["test_class_counts"][names[c]]
            if not images:
                continue
            y = -place + 0.43 - thick * (n + 0.5)
            axis.barh(y, recall[c], height=thick * 0.82, color=style.color, alpha=0.85, lw=0,
                      label=short(entrant.label) if place == 0 else None)  # fmt: skip
            axis.plot(recall_interval(float(recall[c]), images), [y, y], color=INK, lw=0.6, alpha=0.55)
    ticks = [f"{short(names[c], 14)} · {data['class_counts'][names[c]]:,}" for c in order]
    axis.set_yticks([-place for place in range(len(order))], ticks, color=INK)
    axis.set_ylim(-len(order) + 0.45, 0.55)
    axis.set_xlim(0, 1)
    percent_axis(axis, "x", "recall, per cent")
    handles, _ = axis.get_legend_handles_labels()
    legend_below(axis, handles=handles)
    note = (
        "Mean over seeds, with the Wilson interval of one run's test images. Beside each class its number of training "
        "images."
    )
    return Picture("by-class", "Recall by class", to_svg(figure, "Recall by class"), note)


def confusions(comparison: Comparison) -> list[Picture]:
    """A confusion matrix an entrant."""
    return [_confusion(comparison, entrant) for entrant in comparison.entrants]


def _confusion(comparison: Comparison, entrant: Entrant) -> Picture:
    matrix, names = entrant.confusion(), comparison.class_names
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
    axis.set_xlabel("called")
    axis.set_ylabel("true")
    axis.set_title(short(entrant.label, 40))
    title = f"Confusion matrix of {entrant.label}"
    return Picture(f"confusion-{entrant.label}", title, to_svg(figure, title))


def maps(comparison: Comparison) -> list[Picture]:
    """Embeddings of test images in two dimensions, a map an entrant, of its first seed."""
    return [made for entrant in trained(comparison) if (made := _map(comparison, entrant)) is not None]


def _map(comparison: Comparison, entrant: Entrant) -> Picture | None:
    from sklearn.decomposition import PCA

    seed, run = min(entrant.runs.items())
    stored = run.embeddings()
    targets = run.arrays["test_targets"]
    classes = len(comparison.class_names)
    rows = _spread_rows(targets, classes)
    x = stored["test_embeddings"][rows].astype(np.float64)
    if not np.isfinite(x).all() or min(x.shape) < 2:
        return None
    pca = PCA(n_components=2, svd_solver="randomized" if min(x.shape) > 50 else "full", random_state=0).fit(x)
    flat = pca.transform(x)
    means = np.stack([flat[targets[rows] == c].mean(axis=0) for c in np.unique(targets[rows])])
    figure, axis = new_figure(3.0, 3.4)
    for c in np.unique(targets[rows]).tolist():
        own = flat[targets[rows] == c]
        axis.plot(own[:, 0], own[:, 1], "o", color=of_class(c), ms=3.2, alpha=0.6, mew=0)
    own_centers = "centers" in stored and stored["centers"].shape[1] == x.shape[1]
    marks = pca.transform(stored["centers"].astype(np.float64)) if own_centers else means
    numbers = range(len(marks)) if own_centers else np.unique(targets[rows]).tolist()
    for c, (across, up) in zip(numbers, marks, strict=True):
        axis.plot([across], [up], "X" if own_centers else "o", color=of_class(c), ms=9, mec=INK, mew=1)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(f"{short(entrant.label, 32)}, seed {seed}")
    kept = pca.explained_variance_ratio_.sum()
    marked = "crosses: the centers that the loss keeps" if own_centers else "rings: class means"
    note = f"{kept:.0%} of the variance; {marked}."
    title = f"Map of the embeddings of {entrant.label}"
    return Picture(f"map-{entrant.label}", title, to_svg(figure, title), note)


def _spread_rows(targets: Any, classes: int) -> Any:
    """Up to 480 rows, of every class alike."""
    quota = max(_MAP_POINTS // classes, 5)
    order = np.random.default_rng(0).permutation(len(targets))
    return np.sort(np.concatenate([order[targets[order] == c][:quota] for c in range(classes)]))


def class_legend(comparison: Comparison) -> Picture | None:
    """Which color is which class, for all maps."""
    names = comparison.class_names[:_MOST_CLASSES]
    figure, axis = new_figure(0.25 + 0.22 * -(-len(names) // 4), 2 * WIDTH)
    axis.set_axis_off()
    handles = [
        Line2D([], [], marker="o", ls="", color=of_class(c), label=short(name, 16)) for c, name in enumerate(names)
    ]
    axis.legend(handles=handles, ncols=4, loc="center left", handletextpad=0.3, frameon=False, labelcolor=INK)
    return Picture("map-legend", "Classes of the maps", to_svg(figure, "Colors of the classes"))


def reliabilities(comparison: Comparison) -> Picture:
    """How often predictions of a confidence are right."""
    figure, axis = new_figure(3.4)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    for entrant in comparison.entrants if len(comparison.entrants) <= 7 else _few(comparison):
        style = style_of(comparison, entrant)
        pooled = [(entrant.test_scores(run), run.arrays["test_targets"]) for run in entrant.runs.values()]
        found = reliability(np.concatenate([s for s, _ in pooled]), np.concatenate([t for _, t in pooled]))
        axis.plot(found.confidence, found.accuracy, color=style.color, ls=style.line, marker=style.marker, ms=3.5,
                  lw=1.4, label=short(entrant.label))  # fmt: skip
    axis.set_xlim(0, 1.02)
    axis.set_ylim(0, 1.02)
    percent_axis(axis, "y", "right, per cent")
    percent_axis(axis, "x", "confidence, per cent")
    legend_below(axis)
    note = "Test images of all seeds in bins of confidence. Below the diagonal: surer than right."
    return Picture("reliability", "Reliability", to_svg(figure, "Reliability curves"), note)


def cost_plot(comparison: Comparison) -> Picture:
    """Balanced accuracy against training time."""
    figure, axis = new_figure(3.1)
    for entrant in trained(comparison):
        style = style_of(comparison, entrant)
        seconds = [run.record["timing"]["train_seconds"] for run in entrant.runs.values()]
        across = statistics.mean(seconds)
        axis.plot([min(seconds), max(seconds)], [entrant.mean] * 2, color=style.color, lw=1, alpha=0.6)
        if entrant.sd is not None:
            axis.plot([across] * 2, [entrant.mean - entrant.sd, entrant.mean + entrant.sd], color=style.color, lw=1)
        axis.plot([across], [entrant.mean], style.marker, color=style.color, ms=7, mec=CARD, mew=0.8,
                  label=short(entrant.label))  # fmt: skip
    axis.set_xlabel("seconds of training")
    axis.margins(0.12)
    percent_axis(axis, "y", "balanced accuracy, per cent")
    axis.grid(axis="x")
    legend_below(axis)
    note = "Means over seeds; across, the fastest and the slowest run; upright, one standard deviation."
    return Picture("cost", "Accuracy against cost", to_svg(figure, "Balanced accuracy against training time"), note)


def tuning_curves(comparison: Comparison) -> Picture | None:
    """Expected best of k trials."""
    losses = list(dict.fromkeys(trial["loss"] for trial in comparison.trials))
    if not losses:
        return None
    figure, axis = new_figure(2.8)
    for number, loss in enumerate(losses):
        values = [t["score"] for t in comparison.trials if t["loss"] == loss and t["score"] is not None]
        if values:
            curve = best_of_curve(values)
            axis.plot(range(1, len(curve) + 1), curve, color=series(number), marker="o", ms=3.5, label=short(loss))
    axis.set_xlabel("trials")
    axis.xaxis.get_major_locator().set_params(integer=True)
    percent_axis(axis, "y", "balanced accuracy, per cent")
    legend_below(axis)
    note = "Expected best of so many random trials, on the selection split."
    return Picture("tuning-curves", "What tuning is worth", to_svg(figure, "Expected best of k trials"), note)


def all_pictures(comparison: Comparison) -> dict[str, list[Picture]]:
    """Section -> its pictures."""
    single: dict[str, Sequence[Callable[[Comparison], Picture | None]]] = {
        "accuracy": (scores, forest),
        "classes": (by_class, reliabilities),
        "training": (over_time, tuning_curves),
        "cost": (cost_plot,),
    }
    made = {
        section: [picture for draw in draws if (picture := draw(comparison)) is not None]
        for section, draws in single.items()
    }
    made["confusion"] = confusions(comparison)
    made["maps"] = maps(comparison)
    made["map-legend"] = [picture for picture in [class_legend(comparison)] if picture and made["maps"]]
    return made


def _few(comparison: Comparison) -> list[Entrant]:
    """The first sampler's entrants, where there are too many for one figure."""
    first = comparison.records.samplers[0]
    return [e for e in comparison.entrants if e.sampler == first][:7]
