"""A table as CSV."""

from __future__ import annotations

import csv
import io
import re

from ..printable import printable
from .tables.table import Table

# A cell that begins so is a formula to spreadsheets, which can run programs and send cells to servers.
_FORMULA = re.compile(r"[\s'\"]*[=+\-@\uff0b\uff0d\uff1d\uff20]")
_NUMBER = re.compile(r"\(?[-+]?(?:(?:[\d,]++(?:\.\d++)?|\.\d++)(?:e[-+]?\d++)?)?%?\)?")


def csv_table(table: Table) -> str:
    """Return the cells of a table as CSV, with its headings in the first row.

    A spreadsheet would run a cell that begins with `=`, `+`, `-` or `@`. Unless it is a number, such a cell gets an
    apostrophe in front. Control characters and marks of direction are escaped as on a terminal.

    Example:
        >>> rows = (("softmax, natural", "-71.2"), ("=1+1", "-"))
        >>> print(csv_table(Table("means", "Means", ("loss", "mean"), rows)), end="")
        loss,mean
        "softmax, natural",-71.2
        '=1+1,-
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([csv_cell(cell) for cell in row] for row in (table.columns, *table.rows))
    return text.getvalue()


def csv_cell(cell: str) -> str:
    """Return a cell that a spreadsheet shows and does not run, with invisible characters escaped."""
    shown = printable(cell)
    if not _FORMULA.match(shown) or all(word == "to" or _NUMBER.fullmatch(word) for word in shown.split(" ")):
        return shown
    return f"'{shown}"
