"""Maps of the embeddings in two dimensions (PCA)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from .drawing import INK, WIDTH, new_figure, of_class, short
from .picture import MOST_SMALL, Picture

_MAP_POINTS = 480
_MOST_CLASSES = 20


def maps(comparison: Comparison) -> list[Picture]:
    """Return the embeddings of test images in two dimensions: a legend, and one map per entrant, of its first seed."""
    drawn = [made for entrant in comparison.trained[:MOST_SMALL] if (made := _map(comparison, entrant)) is not None]
    return [_class_legend(comparison), *drawn] if drawn else []


def _class_legend(comparison: Comparison) -> Picture:
    names = comparison.class_names[:_MOST_CLASSES]
    figure, axis = new_figure(0.25 + 0.22 * -(-len(names) // 4), 2 * WIDTH)
    axis.set_axis_off()
    handles = [
        Line2D([], [], marker="o", ls="", color=of_class(c), label=short(name, 16)) for c, name in enumerate(names)
    ]
    axis.legend(handles=handles, ncols=4, loc="center left", handletextpad=0.3, frameon=False, labelcolor=INK)
    return Picture("map-legend", "Classes of the maps", figure, "Colors of the classes", full_width=True)


def _map(comparison: Comparison, entrant: Entrant) -> Picture | None:
    from sklearn.decomposition import PCA

    seed, joined = min(entrant.runs.items())
    run = joined.trained[0]
    stored = run.with_embeddings()
    targets = stored.test.targets
    classes = len(comparison.class_names)
    rows = _spread_rows(targets, classes)
    x = stored.test.vectors[rows].astype(np.float64)
    if not np.isfinite(x).all() or min(x.shape) < 2:
        return None
    pca = PCA(n_components=2, svd_solver="randomized" if min(x.shape) > 50 else "full", random_state=0).fit(x)
    flat = pca.transform(x)
    means = np.stack([flat[targets[rows] == c].mean(axis=0) for c in np.unique(targets[rows])])
    figure, axis = new_figure(3.0, 3.4)
    for c in np.unique(targets[rows]).tolist():
        own = flat[targets[rows] == c]
        axis.plot(own[:, 0], own[:, 1], "o", color=of_class(c), ms=3.2, alpha=0.6, mew=0)
    centers = stored.centers
    own_centers = centers is not None and centers.shape == (classes, x.shape[1]) and bool(np.isfinite(centers).all())
    marks = pca.transform(centers.astype(np.float64)) if centers is not None and own_centers else means
    numbers = range(len(marks)) if own_centers else np.unique(targets[rows]).tolist()
    for c, (across, up) in zip(numbers, marks, strict=True):
        axis.plot([across], [up], "X" if own_centers else "o", color=of_class(c), ms=9, mec=INK, mew=1)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(f"{short(entrant.label, 32)}, seed {seed}")
    kept = pca.explained_variance_ratio_.sum()
    marked = "crosses: centers learned by the loss" if own_centers else "rings: class means"
    note = f"{kept:.0%} of the variance; {marked}."
    title = f"Map of the embeddings of {entrant.label}"
    return Picture(f"map-{entrant.label}", title, figure, title, note)


def _spread_rows(targets: Any, classes: int) -> Any:
    """Return up to 480 rows, about equally many per class."""
    quota = max(_MAP_POINTS // classes, 5)
    order = np.random.default_rng(0).permutation(len(targets))
    return np.sort(np.concatenate([order[targets[order] == c][:quota] for c in range(classes)]))
