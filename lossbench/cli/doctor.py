"""`lossbench doctor`."""

from __future__ import annotations

import json

import typer

from .parameters import Json


def doctor(json_: Json = False) -> None:
    """Show installed packages, available devices, and what is missing for which feature.

    Exits with 1 if a run cannot work.
    """
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
