"""A comparison as Markdown."""

from __future__ import annotations

from ..verdict.comparison import Comparison
from ..verdict.sentences import verdict_words
from . import sections
from .tables.table import Table


def markdown(comparison: Comparison) -> str:
    """Return the verdict and every table."""
    parts = ["## Verdict", *verdict_words(comparison)]
    parts += [f"- {note}" for note in comparison.notes]
    for section in sections.SECTIONS:
        tables = section.make_tables(comparison)
        parts += [f"## {section.title}"] if tables else []
        for table in tables:
            parts += [f"### {table.title}", markdown_table(table), table.note]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """Return a table in Markdown; vertical bars within cells are escaped."""

    def line(cells: tuple[str, ...], code: frozenset[str] = frozenset()) -> str:
        escaped = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
        quoted = [f"`{cell}`" if name in code else cell for name, cell in zip(table.columns, escaped, strict=True)]
        return "| " + " | ".join(quoted) + " |"

    ruler = "|" + "|".join("-:" if table.is_number(n) else "-" for n in range(len(table.columns))) + "|"
    return "\n".join([line(table.columns), ruler, *(line(row, table.code) for row in table.rows)])
