"""`lossbench export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .output import print_json
from .parameters import Json, LossFile, switch


def export(
    run: Annotated[Path, Argument(metavar="RUN", help="Directory of a finished run.")],
    to: Annotated[str, Option(metavar="FORMAT", help="File format: onnx, torch (torch.export) or safetensors.")],
    out: Annotated[
        Path,
        Option(metavar="PATH", help="File to write, with its model card beside it, or a directory for both."),
    ],
    shift: Annotated[
        bool, switch("--shift", "Subtract the shift of the scores that the run measured on its selection split.")
    ] = False,
    data: Annotated[
        str | None,
        Option(metavar="SPEC", help="Where the data of the run lies now (default: where the run read it)."),
    ] = None,
    loss: LossFile = None,
    json_: Json = False,
) -> None:
    """Export a trained run as one file: uint8 images in, class probabilities out.

    The file is checked against the run on the run's own test images before it is written. A model card is written
    beside it.

    lossbench export runs/NAME --to onnx --out model.onnx
    """
    from ..export.formats import format_named, place_of
    from ..runs.layout import check_finished

    check_finished(run)
    form = format_named(to)
    place_of(out, form, run)
    from ..export.export_run import export_run

    done = export_run(run, form, out, loss=loss or "", data=data, shifted=shift)
    if json_:
        print_json(done.content())
        return
    from rich.text import Text

    from .terminal import Console

    agreement = done.agreement
    console = Console()
    console.print(Text(f"{done.model} written ({done.size:,} bytes), model card: {done.card}"), soft_wrap=True)
    console.print(
        Text(
            f"largest difference from the run on {agreement.images} of its test images: "
            f"{agreement.largest_difference:.1e} (from its stored predictions: {agreement.from_stored:.1e})"
        )
    )
