"""A comparison written to files, in every form."""

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
    """

    html: Path | None = None
    md: Path | None = None
    figures: Path | None = None
    csv: Path | None = None
    latex: Path | None = None

    def check(self) -> None:
        """Refuse names of files with another ending, before anything is read.

        Raises:
            ConfigError: a file name has another ending.
        """
        for option, path, suffix in (("--html", self.html, ".html"), ("--md", self.md, ".md")):
            if path is not None and path.suffix.lower() != suffix:
                raise ConfigError(f"{option} {path}: expected a name that ends in {suffix}")

    def paths(self) -> list[Path]:
        """Return the files and directories that are written."""
        return [path for path in (self.html, self.md, self.figures, self.csv, self.latex) if path is not None]

    def write(self, comparison: Comparison) -> None:
        """Write everything that is asked for."""
        if self.html is not None:
            from .page import page

            write_text(self.html, page(comparison))
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
