"""A comparison or a single run, written to files in every form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..files import plain_names, write_text
from ..verdict.comparison import Comparison


@dataclass(frozen=True)
class Outputs:
    """Where a report is written; None for not at all.

    Attributes:
        html: one self-contained page.
        md: verdict and tables as Markdown.
        figures: directory of SVG files.
        csv: directory with one CSV file per table.
        latex: directory with tables, figures, methods and references for LaTeX.
        images: embed test images in the page.
        data: where the data of the runs lies now, for `images`; None for where they read it.
        between: the two losses of a comparison whose images are embedded; None for a choice by the results.
    """

    html: Path | None = None
    md: Path | None = None
    figures: Path | None = None
    csv: Path | None = None
    latex: Path | None = None
    images: bool = False
    data: str | None = None
    between: str | None = None

    def check(self) -> None:
        """Refuse names of files with another ending, before anything is read.

        Raises:
            ConfigError: a file name has another ending, or an option has no effect.
        """
        if self.images and self.html is None:
            raise ConfigError("--images embeds test images in the page: add --html FILE.html")
        if self.data is not None and not self.images:
            raise ConfigError("--data says where the test images lie now, for --images: add --images, or omit --data")
        if self.between is not None and not self.images:
            raise ConfigError("--images-between names the losses for --images: add --images, or omit --images-between")
        for option, path, suffix in (("--html", self.html, ".html"), ("--md", self.md, ".md")):
            if path is not None and path.suffix.lower() != suffix:
                raise ConfigError(f"{option} {path}: expected a name that ends in {suffix}")

    def paths(self) -> list[Path]:
        """Return the files and directories that are written."""
        return [path for path in (self.html, self.md, self.figures, self.csv, self.latex) if path is not None]

    def write(self, comparison: Comparison) -> None:
        """Write everything that is asked for."""
        if self.html is not None:
            write_text(self.html, self._page(comparison))
        if self.md is not None:
            from .markdown import markdown

            write_text(self.md, markdown(comparison))
        if self.figures is not None:
            from .figures.stand_alone import stand_alone
            from .sections import draw_pictures

            pictures = draw_pictures(comparison)
            for picture, name in zip(pictures, plain_names(picture.key for picture in pictures), strict=True):
                write_text(self.figures / f"{name}.svg", stand_alone(picture))
        if self.csv is not None:
            from .csv_table import csv_table
            from .sections import make_tables

            for table in make_tables(comparison):
                write_text(self.csv / f"{table.key}.csv", csv_table(table))
        if self.latex is not None:
            from .latex.directory import write_latex

            write_latex(self.latex, comparison)

    def _page(self, comparison: Comparison) -> str:
        from .galleries import difference_galleries, run_galleries
        from .page import page
        from .run_page import run_page
        from .tables.one_run import the_run
        from .thumbnails import Gallery

        galleries: list[Gallery] = []
        if self.images and comparison.is_one_run:
            if self.between is not None:
                raise ConfigError("--images-between needs a comparison, and this is the directory of a single run")
            galleries = run_galleries(the_run(comparison), self.data)
        elif self.images:
            galleries = difference_galleries(comparison, self.data, self.between)
        return run_page(comparison, galleries) if comparison.is_one_run else page(comparison, galleries)
