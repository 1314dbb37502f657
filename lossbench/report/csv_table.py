"""A table as CSV."""

from __future__ import annotations

import csv
import io

from .tables.table import Table


def csv_table(table: Table) -> str:
    """Return the cells of a table as CSV, with its headings in the first row.

    Example:
        >>> print(csv_table(Table("means", "Means", ("loss", "mean"), (("softmax, natural", "71.2"),))), end="")
        loss,mean
        "softmax, natural",71.2
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([table.columns, *table.rows])
    return text.getvalue()
