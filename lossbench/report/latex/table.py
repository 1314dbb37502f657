"""A table for LaTeX, with booktabs rules."""

from __future__ import annotations

from ..tables.table import Table
from .escape import escaped

_WIDE = 88  # characters that fit the width of a page
_TEXT = 34  # characters of a text column beyond which its cells wrap


def latex_table(table: Table) -> str:
    """Return a `table` environment; it needs the packages booktabs and graphicx.

    Example:
        >>> table = Table("means", "Means", ("loss", "mean"), (("softmax", "71.2"),), "Per cent.", best=frozenset({0}))
        >>> print(latex_table(table))
        \\begin{table}[htbp]
        \\centering\\small
        \\caption{Means. Per cent.}\\label{tab:means}
        \\begin{tabular}{lr}
        \\toprule
        loss & mean \\\\
        \\midrule
        \\textbf{softmax} & \\textbf{71.2} \\\\
        \\bottomrule
        \\end{tabular}
        \\end{table}
    """
    columns = range(len(table.columns))
    widths = [max(len(table.columns[n]), *(len(row[n]) for row in table.rows)) for n in columns]
    wrapped = [not table.is_number(n) and n >= table.names and widths[n] > _TEXT for n in columns]
    if table.names == len(table.columns) or any(table.columns[n] in table.code for n in columns):
        wrapped = [not table.is_number(n) and widths[n] > _TEXT for n in columns]
    share = 0.9 / max(1 + sum(wrapped), 1)
    kinds = "".join(
        "r" if table.is_number(n) else f"p{{{share:.2f}\\linewidth}}" if wrapped[n] else "l" for n in columns
    )
    lines = [f"\\begin{{tabular}}{{{kinds}}}", "\\toprule"]
    if any(table.columns):
        lines += [_line([escaped(name) for name in table.columns]), "\\midrule"]
    for number, row in enumerate(table.rows):
        cells = [
            f"\\texttt{{{escaped(cell)}}}" if name in table.code else escaped(cell)
            for name, cell in zip(table.columns, row, strict=True)
        ]
        lines.append(_line([f"\\textbf{{{cell}}}" for cell in cells] if number in table.best else cells))
    lines += ["\\bottomrule", "\\end{tabular}"]
    if not any(wrapped) and sum(widths) > _WIDE:
        lines = ["\\resizebox{\\linewidth}{!}{%", *lines, "}"]
    title = table.title if table.title.endswith("?") else f"{table.title}."
    caption = f"{title} {table.note}".strip()
    head = f"\\caption{{{escaped(caption)}}}\\label{{tab:{table.key}}}"
    return "\n".join(["\\begin{table}[htbp]", "\\centering\\small", head, *lines, "\\end{table}"])


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + " \\\\"
