"""Metrics of a run, recomputable from stored scores, embeddings and targets."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax as to_probabilities
from scipy.stats import binomtest

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

_LARGEST_CONFUSION = 1000  # classes
_LARGEST_RETRIEVAL = 5000  # images; mean average precision at R compares all with all


def classification_metrics(scores: FloatArray, targets: IntArray, class_names: tuple[str, ...]) -> dict[str, Any]:
    """The metrics of a classification, None where one is undefined.

    Balanced accuracy is the mean recall over the classes that have images here. The confusion matrix is None for more
    than 1,000 classes, where it would be larger than the scores that it comes from.

    Args:
        scores: (N, C); the largest wins, their softmax ranks for AUROC and average precision.
        targets: (N,).
        class_names: C names.

    Example:
        >>> m = classification_metrics(np.eye(2)[[0, 0, 1]], np.array([0, 1, 1]), ("a", "b"))
        >>> m["balanced_accuracy"], m["per_class_recall"]
        (0.75, {'a': 1.0, 'b': 0.5})
    """
    from sklearn.metrics import (
        accuracy_score,
        average_precision_score,
        cohen_kappa_score,
        confusion_matrix,
        f1_score,
        roc_auc_score,
    )

    predictions = scores.argmax(axis=1)
    classes = np.arange(len(class_names))
    confusion = confusion_matrix(targets, predictions, labels=classes)
    present = np.flatnonzero(confusion.sum(axis=1))
    recall = {c: confusion[c, c] / confusion[c].sum() for c in present}
    # Another class may hold all images: then ranking has no meaning.
    rankable = [c for c in present if confusion[c].sum() < len(targets)]
    probabilities = to_probabilities(scores.astype(np.float64), axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # undefined values become None below, and need no second word
        kappa = cohen_kappa_score(targets, predictions, labels=classes)
    return {
        "balanced_accuracy": _number(np.mean(list(recall.values()))),
        "accuracy": _number(accuracy_score(targets, predictions)),
        "macro_f1": _number(f1_score(targets, predictions, labels=present, average="macro", zero_division=0.0)),
        "cohen_kappa": _number(kappa),
        "krippendorff_alpha": _krippendorff(targets, predictions),
        "auroc": _mean(roc_auc_score(targets == c, probabilities[:, c]) for c in rankable),
        "average_precision": _mean(average_precision_score(targets == c, probabilities[:, c]) for c in rankable),
        "per_class_recall": {class_names[c]: _number(recall.get(c, np.nan)) for c in classes},
        "per_class_recall_interval_95": {
            class_names[c]: wilson_interval(int(confusion[c, c]), int(confusion[c].sum())) for c in classes
        },
        "absent_classes": [class_names[c] for c in classes if c not in recall],
        "confusion_matrix": confusion.tolist() if len(classes) <= _LARGEST_CONFUSION else None,
    }


def wilson_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """The 95 % Wilson interval of a proportion, or None without a trial.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    if not trials:
        return None
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def retrieval_quality(embeddings: FloatArray, targets: IntArray) -> dict[str, Any]:
    """Mean average precision at R of nearest neighbours: how pure classes are in the embedding space.

    R of an image is the number of other images of its class. Computed by pytorch-metric-learning on at most 5,000
    images, evenly spaced rows of the split.

    Args:
        embeddings: (N, D).
        targets: (N,).
    """
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


def _krippendorff(targets: IntArray, predictions: IntArray) -> float | None:
    """Nominal alpha of two raters. The library of that name makes N C^2 numbers: terabytes where people are classes."""
    _, counts = np.unique(np.concatenate([targets, predictions]), return_counts=True)
    total = counts.sum()
    if len(counts) < 2:
        return None  # one value alone leaves nothing to agree on
    expected = (total**2 - (counts**2).sum()) / (total * (total - 1))
    return _number(1 - np.mean(targets != predictions) / expected)


def _mean(values: Any) -> float | None:
    found = list(values)
    return _number(np.mean(found)) if found else None


def _number(value: Any) -> float | None:
    """JSON has no NaN: undefined is None."""
    return float(value) if math.isfinite(value) else None
