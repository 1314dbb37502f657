"""`lossbench verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument

from ..errors import UsageError
from ..what_is import what_is
from .check_losses import law_progress, telling
from .output import print_json
from .parameters import Json


def verify(
    file: Annotated[Path, Argument(metavar="FILE", help="Certificate written by lossbench check --certificate.")],
    loss: Annotated[
        str | None,
        Argument(
            metavar="[LOSS]", help="The certificate's loss, repeated: needed for a module or a file, which it runs."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Repeat the tests of a certificate in the same way. Exits with 1 if a result differs."""
    from rich.text import Text

    if file.is_dir():
        raise UsageError(
            f"{file}: expected a certificate, as lossbench check LOSS --certificate FILE writes it; "
            f"it is {what_is(file)}"
        )
    from ..testing.certificate import read_certificate
    from ..testing.certificate import verify as judge_again
    from .terminal import Console

    content = read_certificate(file)
    with law_progress() as progress:
        total = len(content["results"]) or None
        task = progress.add_task(str(content["target"]), total=total)
        tell = telling(progress, str(content["target"]))

        def judged(result: object) -> None:
            progress.advance(task)
            tell(int(progress.tasks[0].completed), total)

        found = judge_again(content, judged, loss)
    if json_:
        rows = {"verified": not found.changed, "changed": found.changed, "notes": found.notes}
        print_json(rows, indent=1)
    else:
        console = Console()
        console.print(Text(str(content["quote"])))
        for note in found.notes:
            console.print(Text("note: ", style="yellow") + Text(note))
        for line in found.changed:
            console.print(Text("differs: ", style="red") + Text(line))
        if not found.changed:
            console.print(Text(f"verified: all {len(found.results)} results are the same", style="green"))
    raise typer.Exit(1 if found.changed else 0)
