"""`lossbench data inspect`, `lossbench data cache` and `lossbench data digests`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ..errors import ConfigError
from ..runs.option import Role
from ..runs.options import option_names
from .cache import cache
from .crop import crop
from .output import print_json
from .parameters import Json, switch, takes_options
from .terminal import print_plain

data = typer.Typer(name="data", help="Inspect and prepare data before training.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    pass


data.command("crop")(crop)
data.command("cache")(cache)


@data.command()
@takes_options(
    [name for name in option_names(Role.OPENS_DATA) if name not in ("allow_missing_classes", "folds", "fold")],
    seed="Random seed of the run; of the data sources, only digits depends on it.",
)
def inspect(
    spec: Annotated[
        str,
        Argument(
            metavar="SPEC",
            help="Data, as for --data: csv:FILE, folder:DIR, affectnet:DIR, ferplus:DIR, rafdb:DIR or digits.",
        ),
    ],
    deep: Annotated[
        bool, switch("--deep", "Open every image, to find unreadable files, duplicates and sizes.")
    ] = False,
    sheet: Annotated[
        Path | None, Option(metavar="FILE.png", help="Write a contact sheet of the training images to this file.")
    ] = None,
    json_: Json = False,
    **options: Any,
) -> None:
    """Show images per class and split, imbalance, dropped rows, and problems that a run would refuse.

    lossbench data inspect affectnet:DIR --deep --sheet sheet.png
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise ConfigError(f"--sheet {sheet}: expected a name that ends in .png")
    from ..data.examine_images import inspect_images
    from ..data.inspect import inspect_splits
    from ..data.sources import open_unchecked
    from .watch_run import counting

    splits = open_unchecked(spec, **options)
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
        print_json(content)
        return
    from ..report.terminal.data import inspection_summary
    from .terminal import Console

    console = Console()
    console.print(inspection_summary(content))
    if sheet is not None:
        Console(stderr=True).print(f"{sheet} written", markup=False, soft_wrap=True)


@data.command()
def digests(
    manifest: Annotated[Path, Argument(metavar="MANIFEST.csv", help="CSV manifest to read.")],
    out: Annotated[
        Path, Argument(metavar="OUT.csv", help="Manifest to write, in the directory of the first; may replace it.")
    ],
    label: Annotated[str, Option(metavar="COLUMN", help="Label column of the manifest.")] = "label",
    path_column: Annotated[str, Option(metavar="COLUMN", help="Path column of the manifest.")] = "path",
    root: Annotated[
        Path | None, Option(metavar="DIR", help="Folder that its paths start from (default: that of the manifest).")
    ] = None,
) -> None:
    """Write a manifest with the SHA-256 digest of each file, so that runs refuse files that have changed."""
    if out.parent.resolve() != manifest.parent.resolve():
        raise ConfigError(f"{out} must lie in {manifest.parent}: the paths of a manifest are relative to its folder")
    from ..data.digests import manifest_with_digests
    from ..files import write_text
    from .watch_run import counting

    with counting("reading images") as progress:
        text = manifest_with_digests(manifest, label, progress, path_column=path_column, root=root)
    write_text(out, text)
    print_plain(out)
