"""The sections of a report: the terminal, the page, Markdown, LaTeX and the figures all follow `SECTIONS`.

The report of a single run has `RUN_SECTIONS` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..verdict.comparison import Comparison
from .figures.accuracy import cost_plot, forest, over_time, scores, tuning_curves
from .figures.classes import by_class, confusions, reliabilities
from .figures.maps import maps
from .figures.one_run import confusion_of_run, lead_of_run, loss_by_epoch, reliability_of_run
from .figures.picture import Picture
from .tables.accuracy import by_data_set, control, every_pair, planned_pairs, ranking
from .tables.classes import confusion_difference, recall_by_class, tail
from .tables.cost import costs, problems, tuning
from .tables.one_run import metrics_of_run, priors_of_run, recalls_of_run, rules_of_run
from .tables.provenance import command_table, environment_table, objective_table, setup_table
from .tables.table import Table
from .tables.thresholds import attribution, gains, loss_or_threshold, prior_sweep, sampler_effects


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        key: identifier for links and tests.
        title: heading.
        tables: functions that make its tables; one that returns None, or a table without rows, is left out.
        pictures: functions that draw its figures; one that returns None is left out.
        on_terminal: whether the terminal prints its tables; the other forms contain every section.
        small: whether its figures are small multiples, whose titles are drawn inside them.
        needs_records: whether it is left out for predictions that lossbench did not make.
    """

    key: str
    title: str
    tables: tuple[Callable[[Comparison], Table | None], ...] = ()
    pictures: tuple[Callable[[Comparison], Picture | Sequence[Picture] | None], ...] = ()
    on_terminal: bool = True
    small: bool = False
    needs_records: bool = False

    def make_tables(self, comparison: Comparison) -> list[Table]:
        """Return the tables for which the runs have data."""
        if self.needs_records and not comparison.has_records:
            return []
        return [table for make in self.tables if (table := make(comparison)) is not None and table.rows]

    def draw_pictures(self, comparison: Comparison) -> list[Picture]:
        """Return the figures for which the runs have data."""
        drawn: list[Picture] = []
        if self.needs_records and not comparison.has_records:
            return drawn
        for draw in self.pictures:
            made = draw(comparison)
            drawn += [made] if isinstance(made, Picture) else made or []
        return drawn


SECTIONS: tuple[Section, ...] = (
    Section("accuracy", "Losses and pairs", (ranking, planned_pairs, every_pair, control), (scores, forest)),
    Section("data-sets", "By data set", (by_data_set,)),
    Section(
        "threshold",
        "Loss or threshold?",
        (loss_or_threshold, gains, sampler_effects, attribution),
        needs_records=True,
    ),
    Section("priors", "Other test priors", (prior_sweep,), on_terminal=False, needs_records=True),
    Section("classes", "Class by class", (recall_by_class, confusion_difference), (by_class,), on_terminal=False),
    Section("tail", "Rare classes", (tail,), (reliabilities,), on_terminal=False, needs_records=True),
    Section("confusion", "Confusion matrices", pictures=(confusions,), small=True),
    Section("maps", "Embeddings", pictures=(maps,), small=True, needs_records=True),
    Section("training", "Training and tuning", (tuning,), (over_time, tuning_curves), needs_records=True),
    Section("cost", "Cost", (costs,), (cost_plot,), needs_records=True),
    Section("problems", "Runs that could not be used", (problems,)),
    Section(
        "made",
        "How it was made",
        (setup_table, command_table, objective_table, environment_table),
        on_terminal=False,
    ),
)

RUN_SECTIONS: tuple[Section, ...] = (
    Section("trained", "What was trained", (objective_table, setup_table), on_terminal=False),
    Section("metrics", "Metrics", (metrics_of_run,)),
    Section("classes", "Class by class", (recalls_of_run,), (lead_of_run, confusion_of_run, reliability_of_run)),
    Section("threshold", "Loss or threshold?", (rules_of_run, priors_of_run)),
    Section("training", "Training", pictures=(loss_by_epoch, over_time)),
    Section("made", "How it was made", (command_table, environment_table), on_terminal=False),
)


def sections_of(comparison: Comparison) -> tuple[Section, ...]:
    """Return the sections of a comparison, or those of a single run."""
    return RUN_SECTIONS if comparison.is_one_run else SECTIONS


def heading_of(comparison: Comparison) -> str:
    """Return the heading of the sentences."""
    return "Result" if comparison.is_one_run else "Verdict"


def make_tables(comparison: Comparison) -> list[Table]:
    """Return every table of a report, in reading order."""
    return [table for section in sections_of(comparison) for table in section.make_tables(comparison)]


def draw_pictures(comparison: Comparison) -> list[Picture]:
    """Return every figure of a report, in reading order."""
    return [picture for section in sections_of(comparison) for picture in section.draw_pictures(comparison)]
