"""A table as the terminal, Markdown and HTML draw it, each in its way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Attributes:
    key: for links and tests.
    title: one line.
    columns: headings; the first column holds names, the others numbers.
    rows: cells as they are printed.
    note: what a reader must know to read it.
    best: numbers of the rows to be set off.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[int] = frozenset()
