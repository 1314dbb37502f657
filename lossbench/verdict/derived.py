"""Answers that follow from a trained run without training a network again; planned questions may name them.

    softmax (post-hoc)     scores minus tau times the log training frequencies, for plain softmax alone: tau = 1 with
                           the natural sampler, otherwise as measured
    LOSS (measured tau)    scores minus the training prior that they carry, as measured on the selection split
    LOSS (refit)           a balanced linear classifier on the frozen embeddings

`softmax (shifted)` is another name of the first. `thresholds` explains all three.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..runs.grid_file import BASELINE
from ..runs.predictions import Predictions
from .runs import Run
from .thresholds import frequencies, shifted

POST_HOC, MEASURED_TAU, REFIT = "post-hoc", "measured tau", "refit"
DERIVED = (POST_HOC, MEASURED_TAU, REFIT)
_KINDS = {kind.replace(" ", ""): kind for kind in DERIVED} | {"shifted": POST_HOC}


def derived_name(name: str, kind: str) -> str:
    """Return what tables and sentences call derived answers.

    Example:
        >>> derived_name("softmax", POST_HOC)
        'softmax (post-hoc)'
    """
    return f"{name} ({kind})"


def split_name(name: str) -> tuple[str, str]:
    """Return the name of the loss and how answers are derived from it; the latter is empty for answers as trained.

    Example:
        >>> split_name("softmax (shifted)"), split_name("center(alpha=0.1)")
        (('softmax', 'post-hoc'), ('center(alpha=0.1)', ''))
    """
    start = name.rstrip().rfind("(")
    kind = _KINDS.get("".join(name[start + 1 :].split()).removesuffix(")"), "")
    complete = start > 0 and name.rstrip().endswith(")")
    return (name[:start].strip(), kind) if kind and complete else (name.strip(), "")


def lacks(run: Run, kind: str) -> str:
    """Return why a run has no such answers; empty if it has."""
    if kind == POST_HOC and run.record.formula != BASELINE:
        return "post-hoc answers are for plain softmax alone"
    tau = run.thresholds.control if kind == POST_HOC else run.thresholds.tau
    if kind in (POST_HOC, MEASURED_TAU) and tau is None:
        return "tau cannot be measured without a selection image of every class"
    if kind == REFIT and run.thresholds.refit is None:
        return "no linear classifier was fitted on its embeddings"
    return ""


def derived_scores(run: Run, predictions: Predictions, kind: str) -> npt.NDArray[Any]:
    """Return the (N, C) test scores of derived answers.

    Args:
        run: the trained run, which does not lack them.
        predictions: of the run.
        kind: one of `DERIVED`.

    Raises:
        ValueError: the run lacks such answers.
    """
    if reason := lacks(run, kind):
        raise ValueError(f"{run.directory}: {reason}")
    if kind == REFIT:
        assert predictions.refit_scores is not None
        return predictions.refit_scores
    tau, data = run.thresholds.control if kind == POST_HOC else run.thresholds.tau, run.record.data
    assert tau is not None
    return shifted(predictions.test.scores, frequencies(data.in_order(data.training_counts)), tau)
