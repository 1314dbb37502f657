"""Every table of a comparison, in reading order."""

from __future__ import annotations

from .accuracy_tables import every_pair, ranking
from .class_tables import confusion_difference, tail
from .cost_tables import costs, problems, tuning
from .table import Table
from .threshold_tables import attribution, gains, loss_or_threshold, prior_sweep, sampler_effects
from .verdict import Comparison


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
        tail(comparison),
        confusion_difference(comparison),
        problems(comparison),
    ]
    return [table for table in made if table is not None and table.rows]
