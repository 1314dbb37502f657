"""`lossbench list` and `lossbench info`."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from .output import print_json
from .parameters import Json, switch

if TYPE_CHECKING:
    from ..registry import LossEntry


def list_(
    load: Annotated[bool, switch("--load", "Import the plugins and show which of them are usable.")] = False,
    json_: Json = False,
) -> None:
    """List the built-in losses and those of installed plugins."""
    from ..registry import loss_entries

    rows = loss_entries(load=load)
    if json_:
        print_json([asdict(row) for row in rows], indent=1)
        return
    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable
    from .terminal import Console

    described = [
        (row.name, row.status, f"{row.origin} {row.version}".strip(),
         _described(row))
        for row in rows
    ]  # fmt: skip
    columns = ("name", "status", "origin", "summary")
    table = TerminalTable(Table("losses", "", columns, tuple(described), text=frozenset(columns[1:])))
    Console().print(table)


def _described(row: LossEntry) -> str:
    """Return the problem or the summary of a loss, with the laws that it breaks by definition."""
    broken = [f" Breaks {law} by definition: {reason}." for law, reason in row.expected_failures.items()]
    return (row.reason or row.summary or "(not loaded yet: lossbench list --load)") + "".join(broken)


def info(
    name: Annotated[str, Argument(metavar="NAME", help="Name of a loss in lossbench list, or file.py:object.")],
    json_: Json = False,
) -> None:
    """Show the formula, hyper-parameters, inputs, reference and origin of a loss."""
    from ..registry import allow_objects, loss_entries, loss_info

    allow_objects(name)
    spec = loss_info(name)
    entry = next((e for e in loss_entries() if e.name in (name, spec.name)), None)
    defaults = spec.hyperparameters
    content: dict[str, Any] = {
        "name": name,
        "summary": spec.summary,
        "formula": spec.formula,
        "reference": spec.reference,
        "needs": sorted(spec.needs),
        "traits": sorted(spec.traits),
        "use_when": spec.use_when or None,
        "avoid_when": spec.avoid_when or None,
        "hyperparameters": {k: None if v is inspect.Parameter.empty else v for k, v in defaults.items()},
        "required": spec.required,
        "auxiliary": spec.auxiliary,
        "expected_failures": dict(spec.expected_failures),
        "joint": spec.joint,
        "origin": f"{entry.origin} {entry.version}".strip() if entry else None,
        "status": entry.status if entry else None,
    }
    if json_:
        print_json(content, indent=1)
        return
    from rich.text import Text

    from .terminal import Console

    lines = Text.assemble((f"{name}\n", "bold"), f"{content['formula']}\n\n")
    given = ", ".join(
        f"{k}={'(required)' if k in content['required'] else repr(v)}" for k, v in content["hyperparameters"].items()
    )
    for title, value in (
        ("hyper-parameters", given or "none"),
        ("needs", ", ".join(content["needs"])),
        ("traits", ", ".join(content["traits"])),
        ("trained as", spec.joint or name),
        ("use when", spec.use_when or "unknown"),
        ("avoid when", spec.avoid_when or "unknown"),
        *(("breaks", f"{law}, by definition: {reason}") for law, reason in spec.expected_failures.items()),
        ("reference", spec.reference),
        ("origin", content["origin"]),
    ):
        lines.append(f"{title:<18}", style="bold").append(f"{value}\n")
    Console().print(lines)
