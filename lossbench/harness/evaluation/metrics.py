"""Metrics of a run, computed from its scores, embeddings and targets.

Nothing here allocates a C x C matrix for many classes or loops over classes without images: time and memory grow with
the scores, N x C, and with N + C beyond them.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

_LARGEST_CONFUSION = 1000  # classes
_LARGEST_RETRIEVAL = 5000  # images; mean average precision at R compares every image with every other
_BLOCK = 2**22  # probabilities held at a time
_Z = 1.959963984540054  # normal quantile of 0.975


def classification_metrics(scores: FloatArray, targets: IntArray, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics of a classification; None for a metric that is undefined.

    Balanced accuracy is the mean recall over the classes that have images here. AUROC and average precision are means
    over one class against the rest, over the classes that some but not all images belong to. The confusion matrix is
    None for more than 1,000 classes, where it would be larger than the scores that it comes from.

    Args:
        scores: (N, C) finite scores; the largest is the prediction, and their softmax is ranked.
        targets: (N,) class numbers.
        class_names: C names.

    Example:
        >>> m = classification_metrics(np.eye(2)[[0, 0, 1]], np.array([0, 1, 1]), ("a", "b"))
        >>> m["balanced_accuracy"], m["per_class_recall"]
        (0.75, {'a': 1.0, 'b': 0.5})
    """
    classes, total = len(class_names), len(targets)
    predictions = scores.argmax(axis=1)
    right = predictions == targets
    counts, predicted = np.bincount(targets, minlength=classes), np.bincount(predictions, minlength=classes)
    hits = np.bincount(targets[right], minlength=classes)
    present = np.flatnonzero(counts)
    recall = hits[present] / counts[present]
    f1 = 2 * hits[present] / (counts + predicted)[present]
    chance = float(counts @ predicted.astype(np.float64)) / total**2
    auroc, precision = _ranking(scores, targets, counts)
    low, high = _wilson(hits[present], counts[present])
    named = [class_names[c] for c in present]
    unknown = dict.fromkeys(class_names)
    return {
        "balanced_accuracy": _number(recall.mean()),
        "accuracy": _number(right.mean()),
        "macro_f1": _number(f1.mean()),
        "cohen_kappa": _number(1 - (1 - right.mean()) / (1 - chance)) if chance < 1 else None,
        "krippendorff_alpha": _krippendorff(counts + predicted, right),
        "auroc": auroc,
        "average_precision": precision,
        "per_class_recall": unknown | dict(zip(named, recall.tolist(), strict=True)),
        "per_class_recall_interval_95": unknown
        | dict(zip(named, zip(low.tolist(), high.tolist(), strict=True), strict=True)),
        "absent_classes": [name for name, count in zip(class_names, counts, strict=True) if not count],
        "confusion_matrix": _confusion(targets, predictions, classes),
    }


def wilson_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """Return the 95 % Wilson interval of a proportion, or None without a trial.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    if not trials:
        return None
    low, high = _wilson(np.array([successes]), np.array([trials]))
    return float(low[0]), float(high[0])


def retrieval_quality(embeddings: FloatArray, targets: IntArray) -> dict[str, Any]:
    """Return the mean average precision at R of nearest neighbors: how pure classes are in the embedding space.

    R of an image is the number of other images of its class. Computed by pytorch-metric-learning on at most 5,000
    images, evenly spaced rows of the split; None where that package is not installed.

    Args:
        embeddings: (N, D) embeddings.
        targets: (N,) class numbers.
    """
    if find_spec("pytorch_metric_learning") is None:
        return {"mean_average_precision_at_r": None, "retrieval_images": None}
    import torch
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rows = np.unique(np.linspace(0, len(targets) - 1, min(len(targets), _LARGEST_RETRIEVAL)).astype(int))
    labels = targets[rows]
    if np.bincount(labels).max() < 2:
        return {"mean_average_precision_at_r": None, "retrieval_images": len(rows)}
    calculator = AccuracyCalculator(
        include=("mean_average_precision_at_r",),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=True), batch_size=1024),
    )
    vectors = torch.from_numpy(embeddings[rows].astype(np.float32))
    value = calculator.get_accuracy(vectors, torch.from_numpy(labels))["mean_average_precision_at_r"]
    return {"mean_average_precision_at_r": _number(value), "retrieval_images": len(rows)}


def _ranking(scores: FloatArray, targets: IntArray, counts: IntArray) -> tuple[float | None, float | None]:
    """Return the means over classes of AUROC and average precision, one class against the rest; ties count half.

    For each class its column of probabilities is sorted once. The position of an image of the class in it is the
    number of images ranked below it, from which both metrics follow.
    """
    rankable = np.flatnonzero((counts > 0) & (counts < len(targets)))
    if not len(rankable):
        return None, None
    rows = np.split(np.argsort(targets, kind="stable"), np.cumsum(counts)[:-1])
    largest = scores.max(axis=1).astype(np.float64)
    width = max(1, _BLOCK // len(targets))
    normalizer = np.zeros(len(targets))
    for start in range(0, scores.shape[1], width):
        normalizer += np.exp(scores[:, start : start + width] - largest[:, None]).sum(axis=1)
    areas, precisions = [], []
    for start in range(0, len(rankable), width):
        block = rankable[start : start + width]
        probabilities = (np.exp(scores[:, block] - largest[:, None]) / normalizer[:, None]).T
        for c, column in zip(block, np.ascontiguousarray(probabilities), strict=True):
            own, ordered = np.sort(column[rows[c]]), np.sort(column)
            below, not_above = ordered.searchsorted(own, "left"), ordered.searchsorted(own, "right")
            wins = (below + not_above).sum() / 2 - len(own) ** 2 / 2  # minus those over images of the class itself
            areas.append(wins / (len(own) * (len(column) - len(own))))
            at_least = len(own) - own.searchsorted(own, "left")
            precisions.append((at_least / (len(column) - below)).mean())
    return _number(np.mean(areas)), _number(np.mean(precisions))


def _wilson(successes: IntArray, trials: IntArray) -> tuple[FloatArray, FloatArray]:
    share, spread = successes / trials, _Z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    # Without rounding, the bound of 0 of n is 0 and that of n of n is 1.
    low = np.where(successes == 0, 0.0, middle - half)
    return low, np.where(successes == trials, 1.0, middle + half)


def _confusion(targets: IntArray, predictions: IntArray, classes: int) -> list[list[int]] | None:
    """Return the confusion matrix, rows true and columns predicted; None for many classes."""
    if classes > _LARGEST_CONFUSION:
        return None
    cells: list[list[int]] = (
        np.bincount(targets * classes + predictions, minlength=classes**2).reshape(classes, classes).tolist()
    )
    return cells


def _krippendorff(both: IntArray, right: npt.NDArray[np.bool_]) -> float | None:
    """Return the nominal alpha of two raters (the library of that name allocates N C^2 numbers).

    Args:
        both: (C,) how often each class occurs among targets and predictions together.
        right: (N,) whether prediction and target agree.
    """
    if np.count_nonzero(both) < 2:
        return None  # with a single value there is nothing to agree on
    total = both.sum()
    expected = (total**2 - (both**2).sum()) / (total * (total - 1))
    return _number(1 - np.mean(~right) / expected)


def _number(value: Any) -> float | None:
    """Return a float, or None if it is not finite: JSON has no NaN."""
    return float(value) if math.isfinite(value) else None
