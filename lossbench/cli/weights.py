"""`lossbench weights convert` and `lossbench weights inspect`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from typer import Argument, Option

from ..errors import listed
from ..report.tables.table import Table
from ..report.terminal.table import TerminalTable
from .output import print_json
from .parameters import Json, switch
from .terminal import Console, print_plain

_SHOWN = 10  # names of each list of a plan, without --keys

weights = typer.Typer(name="weights", help="Inspect and convert files of pretrained weights.", no_args_is_help=True)


@weights.command()
def convert(
    source: Annotated[
        str, Argument(metavar="vggface2:FILE", help="Published weights of SENet-50, trained on VGGFace2.")
    ],
    out: Annotated[Path, Argument(metavar="OUT.safetensors", help="File to write.")],
    force: Annotated[bool, switch("--force", "Overwrite the file if it exists.")] = False,
) -> None:
    """Convert VGGFace2 weights to safetensors, with their preprocessing and the digest of the source file."""
    from ..harness.weights.start_from import convert as convert_weights

    converted = convert_weights(source, out, force=force)
    Console(stderr=True).print(Text(converted.note), soft_wrap=True)
    print_plain(out)


@weights.command()
def inspect(
    file: Annotated[
        str,
        Argument(
            metavar="FILE", help="Weights in a .pkl, .pth or .safetensors file, hf:REPO, or the directory of a run."
        ),
    ],
    model: Annotated[
        str | None, Option(metavar="NAME", help="Model whose backbone the tensors are compared with.")
    ] = None,
    prefix: Annotated[str | None, Option(metavar="PREFIX", help="As --weights-prefix of lossbench run.")] = None,
    image_size: Annotated[
        int | None, Option(min=1, max=2**12, help="Side of the images in pixels (default: that of the weights).")
    ] = None,
    keys: Annotated[bool, switch("--keys", "Print one line per tensor.")] = False,
    json_: Json = False,
) -> None:
    """Show the kind, tensors, digest and preprocessing of a file of weights. Nothing in the file is executed.

    With --model, also shows which tensors the model's backbone would receive, and which would be left out, missing or
    of another shape. Exits with 1 if the file can be read but --weights cannot use it.
    """
    from ..harness.weights.inspect import inspect_weights
    from ..models.any_weights import WeightsOptions

    content = inspect_weights(file, model, image_size, WeightsOptions(prefix=prefix))
    if json_:
        print_json(content, indent=1)
    else:
        _show(content, keys)
    raise typer.Exit(1 if content["problem"] else 0)


def _show(content: dict[str, Any], keys: bool) -> None:
    facts = TerminalTable(Table("facts", "", ("", ""), tuple(_facts(content)), text=frozenset({""})))
    console = Console()
    console.print(facts)
    console.print()
    console.print(_every_tensor(content["tensors"]) if keys else _by_module(content["tensors"]))
    for name in ("left_out", "missing", "mismatched") if content["plan"] else ():
        if listed_names := content["plan"][name]:
            limit = len(listed_names) if keys else _SHOWN
            console.print(Text(f"\n{name.replace('_', ' ')} ({len(listed_names):,}):\n{listed(listed_names, limit)}"))


def _every_tensor(rows: list[dict[str, Any]]) -> TerminalTable:
    columns = ("tensor", "shape", "type", "becomes")
    cells = tuple((row["name"], _written(row["shape"]), row["dtype"], row["becomes"] or "skipped") for row in rows)
    return TerminalTable(Table("tensors", "", columns, cells, text=frozenset(columns[1:])))


def _by_module(rows: list[dict[str, Any]]) -> TerminalTable:
    """Return one row per module of the backbone; skipped tensors come last."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        module = row["becomes"].partition(".")[0] if row["becomes"] else "skipped"
        count = counts.setdefault(module, [0, 0])
        count[0] += 1
        count[1] += math.prod(row["shape"])
    ordered = sorted(counts, key=lambda name: (name == "skipped", name))
    cells = tuple((module, *(f"{count:,}" for count in counts[module])) for module in ordered)
    return TerminalTable(Table("modules", "", ("becomes", "tensors", "numbers"), cells))


def _facts(content: dict[str, Any]) -> list[tuple[str, str]]:
    origin, wants = content["origin"], content["preprocessing"]
    rows = [("file", f"{content['path']} ({content['container']})"), ("kind", content["kind"] or "unknown")]
    if content["problem"]:
        rows.append(("problem", content["problem"]))
    rows.append(("sha256", content["sha256"]))
    if "known_as" in origin:
        rows.append(("known as", origin["known_as"] or "a digest not known to lossbench"))
        if origin["source_sha256"] != content["sha256"]:
            rows.append(("made of", f"{origin['source_file']}, sha256 {origin['source_sha256']}"))
        people = origin["identities"]
        rows.append(("classifier", "none" if people is None else f"{people:,} identities, skipped by --weights"))
    if "formula" in origin:
        rows.append(("trained", f"{origin['formula']} on {origin['data']}"))
    if content["model"]:
        rows.append(("model", content["model"]))
    if plan := content["plan"]:
        rows += [("plan", plan["summary"]), ("preprocessing", plan["images"])]
    rows.append(("contains", f"{len(content['tensors'])} tensors, {content['parameters']:,} parameters"))
    if wants:
        mean, std = (", ".join(f"{value:g}" for value in wants[name]) for name in ("mean", "std"))
        turned = content["kind"] == "vggface2-pickle" and content["container"] != "safetensors"
        turned = turned or origin.get("channels") == "bgr"
        rows.append(("images", f"{wants['channels']} {wants['scale']}, minus ({mean}), over ({std})"))
        if turned:
            rows.append(("", "the file expects BGR; its first convolution is flipped when it is read"))
        rows.append(
            ("", f"{wants['image_size']} px; evaluation sees the central {wants['crop_share']:.1%} of the side")
        )
    return rows


def _written(shape: list[int]) -> str:
    return " x ".join(map(str, shape)) or "()"
