"""What `report` and `judge` write: their options, and the output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from .output import print_json

if TYPE_CHECKING:
    from ..report.outputs import Outputs
    from ..verdict.comparison import Comparison

Html = Annotated[
    Path | None, Option(metavar="FILE.html", help="Write the report to this file, as one self-contained page.")
]
Md = Annotated[
    Path | None, Option(metavar="FILE.md", help="Write the verdict and the tables to this file, as Markdown.")
]
Figures = Annotated[Path | None, Option(metavar="DIR", help="Write each figure to this directory, as SVG.")]
Csv = Annotated[Path | None, Option(metavar="DIR", help="Write each table to this directory, as CSV.")]
Latex = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Write tables (booktabs and CSV), figures (PDF), a methods paragraph and BibTeX to this directory.",
    ),
]

MetricName = Annotated[
    str,
    Option("--metric", help="Metric that losses are compared by: balanced-accuracy, accuracy or macro-f1."),
]


def show(comparison: Comparison, outputs: Outputs, json_: bool) -> None:
    """Write the files that are asked for; print JSON, or the verdict if no file is asked for."""
    from .watch_run import working

    with working("writing the report"):
        outputs.write(comparison)
    if json_:
        from ..report.as_json import comparison_content

        print_json(comparison_content(comparison))
        return
    from ..report.terminal.comparison import comparison_summary
    from .terminal import Console

    if not outputs.paths():
        Console().print(comparison_summary(comparison))
    for path in outputs.paths():
        Console(stderr=True).print(f"{path} written", markup=False, soft_wrap=True)
