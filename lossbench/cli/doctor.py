"""`lossbench doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from typer import Option


def doctor(json_: Annotated[bool, Option("--json", help="One object.")] = False) -> None:
    """Say what is installed, which devices there are, and what is missing for what. Exit 1 if a run can't work."""
    from ..machine.doctor import examine

    findings = examine()
    if json_:
        typer.echo(json.dumps(findings, indent=1))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        marks = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "broken": "[red]broken[/]"}
        for row in findings["findings"]:
            table.add_row(marks[row["state"]], Text(row["what"]), Text(row["detail"]))
        Console().print(table)
    raise typer.Exit(0 if findings["usable"] else 1)
