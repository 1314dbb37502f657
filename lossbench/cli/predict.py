"""`lossbench predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from .output import print_json
from .parameters import Json, LossFile


def predict(
    run: Annotated[Path, Argument(metavar="DIR", help="Directory of a finished run.")],
    images: Annotated[
        list[Path],
        Argument(metavar="IMAGE", help="Image files, of the same kind as the training images of the run."),
    ],
    loss: LossFile = None,
    json_: Json = False,
) -> None:
    """Predict class probabilities for images with a trained run."""
    from ..registry import allow_objects
    from ..runs.layout import check_finished

    check_finished(run)
    allow_objects(loss or "")
    from ..harness.evaluation.predict import predict_images

    prediction = predict_images(run, images)
    from rich.text import Text

    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable
    from .terminal import Console

    Console(stderr=True).print(Text(f"This run expects {prediction.subject}, {prediction.image_size} px or larger."))
    if json_:
        print_json(prediction.rows(), indent=1)
        return
    rows = tuple(
        (row["image"], row["class"], *(f"{p:.3f}" for p in row["probabilities"].values())) for row in prediction.rows()
    )
    columns = ("image", "class", *prediction.class_names)
    table = TerminalTable(Table("predictions", "", columns, rows, text=frozenset({"class"})))
    Console().print(table)
