"""`lossbench new`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from ..scaffold import KINDS, write_package

Kind = StrEnum("Kind", {kind: kind for kind in KINDS})  # type: ignore[misc]  # made of a table
_DEFAULT = Kind("per-sample-logits")


def new(
    name: Annotated[str, Argument(help="Of the loss, its package and the directory, in kebab-case: my-loss.")],
    kind: Annotated[Kind, Option(help="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()) + ".")] = _DEFAULT,
) -> None:
    """Write an installable package for a loss of your own into ./NAME/. It passes its laws as it is.

    lossbench new my-loss --kind stateful
    """
    written = write_package(name, kind.value, Path())
    typer.echo("\n".join(map(str, written)))
    typer.echo(f"next: pip install -e {name} && lossbench check {name} && lossbench run --loss {name}", err=True)
