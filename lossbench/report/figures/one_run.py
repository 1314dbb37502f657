"""Figures of one run."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.ticker import MaxNLocator

from ...verdict.comparison import Comparison
from ..tables.one_run import the_run
from .classes import by_class, confusions, reliabilities
from .drawing import new_figure, series
from .picture import Picture


def lead_of_run(comparison: Comparison) -> Picture:
    """Draw the recall of each class."""
    beside = "Beside each class: its number of training images. Thin lines: 95 % Wilson intervals."
    if len(comparison.entrants) > 1:
        beside += " Post-hoc: the same run with the drawn frequencies taken off its scores."
    return replace(by_class(comparison), note=beside)


def confusion_of_run(comparison: Comparison) -> Picture:
    """Draw the confusion matrix of the scores as trained."""
    return confusions(comparison)[comparison.entrants.index(comparison.trained[0])]


def reliability_of_run(comparison: Comparison) -> Picture:
    """Draw how often predictions of each confidence are right."""
    note = "Test images in bins of confidence. Below the diagonal: overconfident."
    return replace(reliabilities(comparison), note=note)


def loss_by_epoch(comparison: Comparison) -> Picture | None:
    """Draw the training loss of each epoch; None for a run without a history."""
    history = the_run(comparison).history
    if not history:
        return None
    figure, axis = new_figure(3.1)
    epochs = [row.epoch + 1 for row in history]
    axis.plot(
        epochs, [row.loss for row in history], color=series(0), lw=1.6, marker="o" if len(epochs) < 3 else None, ms=4
    )
    axis.set_xlabel("epoch")
    axis.set_ylabel("loss")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(axis="y")
    note = "Mean over the training images of the epoch, with augmentation and in training mode."
    return Picture("loss-by-epoch", "Training loss", figure, "Training loss by epoch", note)
