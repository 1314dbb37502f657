"""Every table of a comparison, in reading order."""

from __future__ import annotations

from ...verdict.comparison import Comparison
from .accuracy import every_pair, ranking
from .classes import confusion_difference, recall_by_class, tail
from .cost import costs, problems, tuning
from .table import Table
from .thresholds import attribution, gains, loss_or_threshold, prior_sweep, sampler_effects


def all_tables(comparison: Comparison) -> list[Table]:
    """Every table that the runs have the figures for, in reading order."""
    made = [
        ranking(comparison),
        every_pair(comparison),
        loss_or_threshold(comparison),
        gains(comparison),
        sampler_effects(comparison),
        attribution(comparison),
        prior_sweep(comparison),
        costs(comparison),
        tuning(comparison),
        recall_by_class(comparison),
        tail(comparison),
        confusion_difference(comparison),
        problems(comparison),
    ]
    return [table for table in made if table is not None and table.rows]
