"""`lossbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .parameters import ALLOW_DIFFERENCES, TARGET, Json, switch
from .report_options import Csv, Figures, Html, Latex, Md, MetricName, show


def report(
    directory: Annotated[
        Path, Argument(metavar="DIR", help="Directory of a comparison or of a run, or one with runs below it.")
    ],
    html: Html = None,
    md: Md = None,
    figures: Figures = None,
    csv: Csv = None,
    latex: Latex = None,
    images: Annotated[
        bool,
        switch(
            "--images",
            "Embed test images as thumbnails in the page: worst errors and rarest classes of a run, or "
            "images on which two losses differ.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        Option(metavar="SPEC", help="With --images, where the data lies now (default: where the runs read it)."),
    ] = None,
    images_between: Annotated[
        str | None,
        Option(
            metavar="'A, B'",
            help="With --images of a comparison, the two losses whose differences are shown (default: those of the "
            "first claim, or the best loss and plain softmax).",
        ),
    ] = None,
    metric: MetricName = "balanced-accuracy",
    target: Annotated[float | None, TARGET] = None,
    allow_differences: Annotated[bool, ALLOW_DIFFERENCES] = False,
    json_: Json = False,
) -> None:
    """Re-analyze finished runs and write the report; nothing is trained.

    For the directory of a single run, the report describes that run and compares nothing.

    lossbench report runs/NAME --html run.html --images

    lossbench report grid --html report.html --md report.md

    lossbench report grid --latex paper
    """
    from ..report.outputs import Outputs

    outputs = Outputs(html, md, figures, csv, latex, images, data, images_between)
    outputs.check()
    from ..verdict.judge import compare
    from ..verdict.metric import metric_named

    compared_by = metric_named(metric)
    from .watch_run import working

    with working(f"comparing the runs of {directory}"):
        comparison = compare(directory, allow_differences=allow_differences, target=target, metric=compared_by)
    show(comparison, outputs, json_)
