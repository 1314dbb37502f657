"""A table as the terminal, Markdown and HTML draw it, each in its way."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """Attributes:
    key: for links and tests.
    title: one line.
    columns: headings; the first column holds names, the others numbers.
    rows: cells as they are printed.
    note: what a reader must know to read it.
    best: numbers of the rows to be set off.
    wide: columns that a narrow terminal does without.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[int] = frozenset()
    wide: frozenset[str] = frozenset()

    def narrow(self) -> Table:
        """Without its wide columns."""
        kept = [n for n, column in enumerate(self.columns) if column not in self.wide]
        rows = tuple(tuple(row[n] for n in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[n] for n in kept), rows=rows)
