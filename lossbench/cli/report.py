"""`lossbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ..errors import ConfigError
from .output import print_json
from .parameters import ALLOW_DIFFERENCES, TARGET, Json


def report(
    directory: Annotated[
        Path, Argument(metavar="DIR", help="Directory of a comparison, or one whose subdirectories are runs.")
    ],
    html: Annotated[
        Path | None, Option(metavar="FILE.html", help="Write the report to this file, as one self-contained page.")
    ] = None,
    md: Annotated[
        Path | None, Option(metavar="FILE.md", help="Write the verdict and the tables to this file, as Markdown.")
    ] = None,
    figures: Annotated[Path | None, Option(metavar="DIR", help="Write each figure to this directory, as SVG.")] = None,
    target: Annotated[float | None, TARGET] = None,
    allow_differences: Annotated[bool, ALLOW_DIFFERENCES] = False,
    json_: Json = False,
) -> None:
    """Re-analyze finished runs and write the report; nothing is trained.

    lossbench report grid --html report.html --md report.md
    """
    for option, path, suffix in (("--html", html, ".html"), ("--md", md, ".md")):
        if path is not None and path.suffix.lower() != suffix:
            raise ConfigError(f"{option} {path}: expected a name that ends in {suffix}")
    from ..verdict.comparison import compare

    comparison = compare(directory, allow_differences=allow_differences, target=target)
    from ..files import write_text

    if html is not None:
        from ..report.page import page

        write_text(html, page(comparison))
    if md is not None:
        from ..report.markdown import markdown

        write_text(md, markdown(comparison))
    if figures is not None:
        from ..files import plain
        from ..report.figures.stand_alone import stand_alone
        from ..report.sections import draw_pictures

        for picture in draw_pictures(comparison):
            write_text(figures / f"{plain(picture.key)}.svg", stand_alone(picture))
    if json_:
        from ..report.as_json import comparison_content

        print_json(comparison_content(comparison))
        return
    from rich.console import Console

    from ..report.terminal.comparison import comparison_summary

    if html is None and md is None and figures is None:
        Console().print(comparison_summary(comparison))
    for path in (html, md, figures):
        if path is not None:
            Console(stderr=True).print(f"{path} written", markup=False, soft_wrap=True)
