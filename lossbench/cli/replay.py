"""`lossbench replay`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument

from .parameters import Json

_SHOWN = 20  # rows


def replay(
    bundle: Annotated[Path, Argument(metavar="DIR/bad-batch.safetensors", help="File that a stopped run wrote.")],
    json_: Json = False,
) -> None:
    """Re-run the loss on the batch that stopped a run, and show the failing row.

    The loss is computed in the precision of the run and in float64.
    """
    from ..harness.checkpoints.replay import replay as replay_bundle

    content = replay_bundle(bundle)
    if json_:
        typer.echo(json.dumps(content))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text.assemble(("objective  ", "bold"), content["formula"]))
    console.print(Text.assemble(("stopped    ", "bold"), f"epoch {content['epoch'] + 1}, step {content['step']}"))
    console.print(Text.assemble(("finding    ", "bold"), content["finding"]))
    console.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("term")
    for precision in content["precisions"]:
        table.add_column(precision, justify="right")
    for term in content["terms"]:
        table.add_row(Text(term["name"]), *(_cell(term, precision) for precision in content["precisions"]))
    table.add_row(Text("sum", style="bold"), *(Text(_short(content["value"][p])) for p in content["precisions"]))
    console.print(table)
    for precision, error in content["raised"].items():
        console.print(Text(f"{precision} raised {error}", style="yellow"))
    if content["rows"]:
        console.print()
        rows = Table(box=None, pad_edge=False)
        for column in ("row", "image", "class", "what"):
            rows.add_column(column, overflow="fold")
        for row in content["rows"][:_SHOWN]:
            rows.add_row(*(Text(str(row[column])) for column in ("row", "image", "class", "what")))
        console.print(rows)
        if len(content["rows"]) > _SHOWN:
            console.print(f"… and {len(content['rows']) - _SHOWN} more; --json has them all")


def _cell(term: dict[str, Any], precision: str) -> Any:
    from rich.text import Text

    note = "" if term[f"{precision} gradient finite"] else ", gradient non-finite"
    return Text(_short(term[precision]) + note)


def _short(value: float | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else value or "-"
