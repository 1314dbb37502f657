"""A comparison on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ...verdict.comparison import Comparison
from ...verdict.sentences import verdict_words
from .. import sections
from .table import TerminalTable


def comparison_summary(comparison: Comparison) -> RenderableType:
    """Return the verdict in words, then the tables of the sections that are meant for a terminal."""
    words = [Padding(Text(text), (0, 0, 1, 0)) for text in verdict_words(comparison)]
    notes = [Text(f"note  {note}", style="yellow") for note in comparison.notes]
    shown = [section for section in sections.SECTIONS if section.on_terminal]
    tables = [TerminalTable(table) for section in shown for table in section.make_tables(comparison)]
    return Group(Text("Verdict\n", style="bold"), *words, *notes, *(Padding(table, (1, 0, 0, 0)) for table in tables))
