"""`lossbench new`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ..scaffold import KINDS, write_package
from .terminal import print_plain

Kind = StrEnum("Kind", {kind: kind for kind in KINDS})  # type: ignore[misc]  # made of a table
_DEFAULT = Kind("per-sample-logits")


def new(
    name: Annotated[
        str, Argument(metavar="NAME", help="Name of the loss, its package and the directory, in kebab-case: my-loss.")
    ],
    kind: Annotated[
        Kind,
        Option(
            metavar="KIND", help="Kind of loss. " + "; ".join(f"{kind}: {what}" for kind, what in KINDS.items()) + "."
        ),
    ] = _DEFAULT,
) -> None:
    """Write an installable package for your own loss into ./NAME/. It passes the laws of loss functions unchanged.

    lossbench new my-loss --kind stateful
    """
    written = write_package(name, kind.value, Path())
    print_plain("\n".join(map(str, written)))
    print(f"next: pip install -e {name} && lossbench check {name} && lossbench run --loss {name}", file=sys.stderr)
