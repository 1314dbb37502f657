"""A comparison, or a single run, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ...verdict.comparison import Comparison
from ...verdict.format import plural
from ...verdict.sentences import verdict_words
from .. import sections
from .table import TerminalTable

_MOST = 300  # characters of all notes


def comparison_summary(comparison: Comparison) -> RenderableType:
    """Return the verdict or result in words, then the tables of the sections that are meant for a terminal."""
    words = [Padding(Text(text), (0, 0, 1, 0)) for text in verdict_words(comparison)]
    notes = [Text(folded(comparison.notes), style="yellow")] if comparison.notes else []
    shown = [section for section in sections.sections_of(comparison) if section.on_terminal]
    tables = [TerminalTable(table) for section in shown for table in section.make_tables(comparison)]
    heading = Text(f"{sections.heading_of(comparison)}\n", style="bold")
    return Group(heading, *words, *notes, *(Padding(table, (1, 0, 0, 0)) for table in tables))


def folded(notes: Sequence[str]) -> str:
    """Return notes as one paragraph, cut after 300 characters.

    Example:
        >>> folded(["few test images: disgust 3", "one seed failed"])
        '2 notes: few test images: disgust 3; one seed failed'
    """
    text = f"{plural(len(notes), 'note')}: {'; '.join(notes)}"
    return text if len(text) <= _MOST else f"{text[:_MOST].rpartition(' ')[0]} … (--md and --html show all of them)"
