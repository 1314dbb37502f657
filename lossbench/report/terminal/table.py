"""Tables on a terminal of any width: what identifies a row is never cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ...printable import printable
from ..tables.table import Table

_GAP = 2  # columns between cells, and the indent of stacked rows
_NAME, _TEXT = 28, 20  # widest part of a word that a column keeps in one piece


class TerminalTable:
    """A table as rich draws it.

    Where the columns do not fit, headings and text wrap; then the columns of `table.wide` are left out; then each row
    becomes a block of lines under its name.

    Args:
        table: the content.
        highlights: word -> style, for words in cells that do not identify a row.
    """

    def __init__(self, table: Table, highlights: Mapping[str, str] | None = None) -> None:
        # Escaped before it is measured: what is escaped when it is printed would be cut.
        self.table = replace(table, rows=tuple(tuple(map(printable, row)) for row in table.rows))
        self.highlights = highlights or {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.table.title:
            yield Text(self.table.title, style="bold")
        for table in (self.table, self.table.narrow()):
            widths = column_widths(table, options.max_width)
            if widths is not None:
                yield self._grid(table, widths)
                break
        else:
            yield from self._stacked(self.table.narrow())
        if self.table.note:
            yield Text(self.table.note, style="dim")

    def _grid(self, table: Table, widths: Sequence[int]) -> RichTable:
        head = any(table.columns)
        box = SIMPLE_HEAD if head else None  # its dividers are one column wide
        padding = (0, _GAP - 1 if head else _GAP, 0, 0)
        grid = RichTable(box=box, show_header=head, show_edge=False, pad_edge=False, padding=padding)
        for n, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
            justify = "right" if table.is_number(n) else "left"
            grid.add_column(Text(column), width=width, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for n, row in enumerate(table.rows):
            grid.add_row(*self._cells(table, row), style="bold green" if n in table.best else "")
        return grid

    def _stacked(self, table: Table) -> Iterable[RenderableType]:
        for n, row in enumerate(table.rows):
            name = ", ".join(cell for cell in row[: table.names] if cell)
            yield Text(name, style="bold green" if n in table.best else "bold", overflow="fold")
            for column, cell in list(zip(table.columns, self._cells(table, row), strict=True))[table.names :]:
                if cell.plain:
                    heading = Text(f"{column}: " if column else "", style="dim")
                    yield Padding(Text.assemble(heading, cell, overflow="fold"), (0, 0, 0, _GAP))

    def _cells(self, table: Table, row: Sequence[str]) -> list[Text]:
        cells = [Text(cell, overflow="fold") for cell in row]
        for cell in cells[table.names :]:
            for word, style in self.highlights.items():
                cell.highlight_words([word], style)
        return cells


def column_widths(table: Table, available: int) -> list[int] | None:
    """Return the width of each column, or None where the columns do not fit side by side.

    Args:
        table: what is drawn.
        available: columns of the terminal.
    """
    least, full = [], []
    for n, column in enumerate(table.columns):
        cells = [line for row in table.rows for line in row[n].split("\n")]
        widest = max(map(cell_len, cells), default=0)
        natural = max(widest, cell_len(column))
        if table.is_number(n):
            least.append(max(widest, _longest_word([column])))
        else:
            cap = _NAME if n < table.names else _TEXT
            least.append(min(natural, max(min(_longest_word([column, *cells]), cap), cap // 2)))
        full.append(natural)
    spare = available - sum(least) - _GAP * (len(least) - 1)
    if spare < 0:
        return None
    widths = list(least)
    for n in sorted(range(len(widths)), key=lambda n: (n >= table.names, not table.is_number(n))):
        more = min(full[n] - widths[n], spare)
        widths[n] += more
        spare -= more
    return widths


def _longest_word(texts: Iterable[str]) -> int:
    return max((cell_len(word) for text in texts for word in text.split()), default=0)
