"""A table as data; the terminal, Markdown, HTML, LaTeX and CSV each draw it in their way."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """A table of printed cells.

    Columns hold numbers (right-aligned, never wrapped) unless they are among the first `names` or listed in `text`.

    Attributes:
        key: identifier for links, file names and tests.
        title: one line; empty for none.
        columns: headings; all empty for a table without a head.
        rows: cells as they are printed.
        note: what a reader must know to read the table.
        best: indices of highlighted rows.
        wide: columns that are left out where they do not fit.
        text: columns of running text, which may wrap.
        code: columns of commands or formulas, set in a monospaced font.
        names: how many leading columns identify a row.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[int] = frozenset()
    wide: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    code: frozenset[str] = frozenset()
    names: int = 1

    def narrow(self) -> Table:
        """Return the table without its wide columns."""
        kept = [n for n, column in enumerate(self.columns) if column not in self.wide]
        rows = tuple(tuple(row[n] for n in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[n] for n in kept), rows=rows, wide=frozenset())

    def is_number(self, column: int) -> bool:
        """Return whether a column holds numbers."""
        return column >= self.names and self.columns[column] not in self.text | self.code
