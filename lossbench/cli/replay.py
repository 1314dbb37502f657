"""`lossbench replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from ..report.terminal.shorten import significant
from ..runs.inputs import check_bad_batch
from .output import print_json
from .parameters import Json

_SHOWN = 20  # rows


def replay(
    bundle: Annotated[Path, Argument(metavar="DIR/bad-batch.safetensors", help="File that a stopped run wrote.")],
    json_: Json = False,
) -> None:
    """Re-run the loss on the batch that stopped a run, and show the failing row.

    The loss is computed in the precision of the run and in float64.
    """
    check_bad_batch(bundle)
    from ..harness.checkpoints.replay import replay as replay_bundle

    content = replay_bundle(bundle)
    if json_:
        print_json(content)
        return
    from rich.text import Text

    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable
    from .terminal import Console

    console = Console()
    console.print(Text.assemble(("objective  ", "bold"), content["formula"]))
    console.print(Text.assemble(("stopped    ", "bold"), f"epoch {content['epoch'] + 1}, step {content['step']}"))
    console.print(Text.assemble(("finding    ", "bold"), content["finding"]))
    console.print()
    precisions = content["precisions"]
    terms = [(term["name"], *(_cell(term, precision) for precision in precisions)) for term in content["terms"]]
    terms.append(("sum", *(significant(content["value"][precision], 6) for precision in precisions)))
    console.print(
        TerminalTable(Table("terms", "", ("term", *precisions), tuple(terms), best=frozenset({len(terms) - 1})))
    )
    for precision, error in content["raised"].items():
        console.print(Text(f"{precision} raised {error}", style="yellow"))
    if content["rows"]:
        console.print()
        columns = ("row", "image", "class", "what")
        rows = tuple(tuple(str(row[column]) for column in columns) for row in content["rows"][:_SHOWN])
        console.print(TerminalTable(Table("rows", "", columns, rows, text=frozenset(columns[1:]))))
        if len(content["rows"]) > _SHOWN:
            console.print(f"… and {len(content['rows']) - _SHOWN} more; --json has them all")


def _cell(term: dict[str, Any], precision: str) -> str:
    gradient = "" if term[f"{precision} gradient finite"] else ", non-finite gradient"
    return f"{significant(term[precision], 6)}{gradient}"
