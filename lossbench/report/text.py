"""A comparison for a terminal and as Markdown."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ..verdict.comparison import Comparison
from ..verdict.sentences import verdict_words
from .provenance import commands, environment_rows, facts, objectives
from .tables.every import all_tables
from .tables.table import Table

_WIDE = 110  # columns
_ON_SCREEN = ("ranking", "pairs", "thresholds", "gains", "samplers", "attribution", "costs", "tuning", "problems")


def comparison_summary(comparison: Comparison) -> RenderableType:
    """The verdict in words, then the tables that fit a screen; the rest is in the report."""
    words = [Padding(Text(text), (0, 0, 1, 0)) for text in verdict_words(comparison)]
    notes = [Text(f"note  {note}", style="yellow") for note in comparison.notes]
    tables = [Drawn(table) for table in all_tables(comparison) if table.key in _ON_SCREEN]
    return Group(Text("Verdict\n", style="bold"), *words, *notes, *(Padding(table, (1, 0, 0, 0)) for table in tables))


class Drawn:
    """One table, as rich draws it; on a narrow terminal without its wide columns."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.table if options.max_width >= _WIDE else self.table.narrow()
        made = RichTable(box=SIMPLE, pad_edge=False)
        for n, column in enumerate(table.columns):
            numbers = n > 0 and table.key != "problems"
            made.add_column(column, justify="right" if numbers else "left", overflow="fold")
        for n, row in enumerate(table.rows):
            made.add_row(*(Text(cell) for cell in row), style="bold green" if n in table.best else "")
        yield Text(table.title, style="bold")
        yield made
        yield Text(table.note, style="dim")


def markdown(comparison: Comparison) -> str:
    """The verdict and all tables."""
    parts = ["## Verdict", *verdict_words(comparison)]
    parts += [f"- {note}" for note in comparison.notes]
    for table in all_tables(comparison):
        parts += [f"## {table.title}", markdown_table(table), table.note]
    parts += ["## How it was made", *(f"    {command}" for command in commands(comparison))]
    told = [*facts(comparison), *((f"objective of {name}", f"`{formula}`") for name, formula in objectives(comparison))]
    parts.append("\n".join(f"- {name}: {value}" for name, value in (*told, *environment_rows(comparison))))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """A table in Markdown; bars within cells are escaped."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    ruler = "|" + "|".join("-" if n == 0 else "-:" for n in range(len(table.columns))) + "|"
    return "\n".join([line(table.columns), ruler, *(line(row) for row in table.rows)])
