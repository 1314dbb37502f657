"""`lossbench data inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from ..errors import ConfigError

data = typer.Typer(name="data", help="Look at a data source before training on it.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    pass


@data.command()
def inspect(
    spec: Annotated[str, Argument(help="As --data: csv:PATH, folder:PATH, affectnet:PATH, synthetic, digits.")],
    val: Annotated[str | None, Option(help="Evaluation manifest or folder.")] = None,
    label: Annotated[str, Option(help="Label column of a manifest; person: each is a class.")] = "label",
    classes: Annotated[int | None, Option(help="AffectNet's: 8, or 7 without contempt.")] = None,
    min_images: Annotated[int | None, Option(help="Of a person, with --label person; default 4.")] = None,
    seed: Annotated[int, Option(help="Of a run; only digits depends on it.")] = 0,
    deep: Annotated[bool, Option("--deep", help="Open every image: unreadable, duplicates, sizes.")] = False,
    sheet: Annotated[Path | None, Option(help="Write a contact sheet of the training images, a PNG.")] = None,
    json_: Annotated[bool, Option("--json", help="One object.")] = False,
) -> None:
    """Counts by class and split, imbalance, what was dropped, and what a run would refuse.

    lossbench data inspect affectnet:DIR --deep --sheet sheet.png
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise ConfigError(f"--sheet {sheet}: expected a name that ends in .png")
    from ..data.examine_images import inspect_images
    from ..data.inspect import inspect_splits
    from ..data.sources import open_unchecked
    from .watch_run import counting

    splits = open_unchecked(spec, val=val, label=label, seed=seed, classes=classes, min_images=min_images)
    content = inspect_splits(splits, spec) | {"deep": None}
    if sheet is not None:
        from ..data.contact_sheet import contact_sheet
        from ..files import write_atomically

        splits.train.prepare()
        picture = contact_sheet(splits.train, spec)
        write_atomically(sheet, lambda file: picture.save(file, "PNG", optimize=True))
    if deep:
        with counting("opening images") as progress:
            content["deep"] = inspect_images(splits, progress=progress)
    if json_:
        typer.echo(json.dumps(content))
        return
    from rich.console import Console

    from ..report.terminal.data import inspection_summary

    console = Console()
    console.print(inspection_summary(content))
    if sheet is not None:
        Console(stderr=True).print(f"{sheet} written", markup=False, soft_wrap=True)


@data.command()
def digests(
    manifest: Annotated[Path, Argument(help="A csv manifest.")],
    out: Annotated[Path, Argument(metavar="OUT.csv", help="The manifest to write; beside the first, or in its place.")],
    label: Annotated[str, Option(help="Its label column.")] = "label",
) -> None:
    """Write a manifest with the SHA-256 of each file: a run then refuses files that have changed."""
    if out.parent.resolve() != manifest.parent.resolve():
        raise ConfigError(f"{out} must lie in {manifest.parent}: the paths of a manifest are relative to its folder")
    from ..data.digests import manifest_with_digests
    from ..files import write_text
    from .watch_run import counting

    with counting("reading images") as progress:
        text = manifest_with_digests(manifest, label, progress)
    write_text(out, text)
    typer.echo(out)
