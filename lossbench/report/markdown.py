"""A comparison, or a single run, as Markdown."""

from __future__ import annotations

import re

from ..printable import printable
from ..verdict.comparison import Comparison
from ..verdict.sentences import verdict_words
from . import sections
from .tables.table import Table

_TAG, _LINK = re.compile(r"<(?=[A-Za-z/!?])"), re.compile(r"\[(?=[^\]]*\][(\[:])")


def markdown(comparison: Comparison) -> str:
    """Return the verdict, or the result of a single run, and every table."""
    parts = [f"## {sections.heading_of(comparison)}", *map(markdown_text, verdict_words(comparison))]
    parts += [f"- {markdown_text(note)}" for note in comparison.notes]
    for section in sections.sections_of(comparison):
        tables = section.make_tables(comparison)
        parts += [f"## {section.title}"] if tables else []
        for table in tables:
            parts += [f"### {markdown_text(table.title)}", markdown_table(table), markdown_text(table.note)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_text(text: str) -> str:
    """Return a text that Markdown shows as it is: no tag, link or image of its own.

    Example:
        >>> markdown_text("<b>p</b> < 0.05, [a](b)")
        '&lt;b>p&lt;/b> < 0.05, \\\\[a](b)'
    """
    return _LINK.sub(r"\[", _TAG.sub("&lt;", printable(text)))


def markdown_table(table: Table) -> str:
    """Return a table in Markdown; vertical bars within cells are escaped."""

    def line(cells: tuple[str, ...], code: frozenset[str] = frozenset()) -> str:
        flat = [printable(cell).replace("|", "\\|").replace("\n", " ") for cell in cells]
        quoted = [
            f"`{cell.replace('`', chr(39))}`" if name in code else markdown_text(cell)
            for name, cell in zip(table.columns, flat, strict=True)
        ]
        return "| " + " | ".join(quoted) + " |"

    ruler = "|" + "|".join("-:" if table.is_number(n) else "-" for n in range(len(table.columns))) + "|"
    return "\n".join([line(table.columns), ruler, *(line(row, table.code) for row in table.rows)])
