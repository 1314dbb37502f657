"""`lossbench predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument

from .parameters import Json


def predict(
    run: Annotated[Path, Argument(metavar="DIR", help="Directory of a finished run.")],
    images: Annotated[
        list[Path],
        Argument(metavar="IMAGE", help="Image files, of the same kind as the training images of the run."),
    ],
    json_: Json = False,
) -> None:
    """Predict class probabilities for images with a trained run."""
    from ..harness.evaluation.predict import predict_images

    prediction = predict_images(run, images)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    Console(stderr=True).print(Text(f"This run expects {prediction.subject}, {prediction.image_size} px or larger."))
    if json_:
        typer.echo(json.dumps(prediction.rows(), indent=1))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("image")
    table.add_column("class", style="bold")
    for name in prediction.class_names:
        table.add_column(Text(name), justify="right")
    for row in prediction.rows():
        probabilities = [f"{p:.3f}" for p in row["probabilities"].values()]
        table.add_row(Text(row["image"]), Text(row["class"]), *probabilities)
    Console().print(table)
