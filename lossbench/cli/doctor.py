"""`lossbench doctor`."""

from __future__ import annotations

import typer

from .output import print_json
from .parameters import Json


def doctor(json_: Json = False) -> None:
    """Show installed packages, available devices, and what is missing for which feature.

    Exits with 1 if a run cannot work.
    """
    from ..machine.doctor import examine

    findings = examine()
    if json_:
        print_json(findings, indent=1)
    else:
        from ..report.tables.table import Table
        from ..report.terminal.table import TerminalTable
        from .terminal import Console

        marks = {"ok": "green", "missing": "yellow", "broken": "red"}
        rows = tuple((row["what"], row["state"], row["detail"]) for row in findings["findings"])
        columns = ("what", "state", "detail")
        table = TerminalTable(Table("doctor", "", columns, rows, text=frozenset(columns[1:])), marks)
        Console().print(table)
    raise typer.Exit(0 if findings["usable"] else 1)
