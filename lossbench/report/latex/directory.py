"""A directory with everything that a paper takes from a comparison or from a single run."""

from __future__ import annotations

from pathlib import Path

from ... import files
from ...verdict.comparison import Comparison
from .. import sections
from ..csv_table import csv_table
from ..figures.stand_alone import pdf
from .escape import escaped
from .methods import bibliography, methods
from .table import latex_table

_DOCUMENT = r"""% Compile with: pdflatex report && bibtex report && pdflatex report && pdflatex report
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[margin=2.5cm]{geometry}
\begin{document}
\section*{Methods}
\input{methods}
PARTS
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""


def write_latex(directory: Path, comparison: Comparison) -> list[Path]:
    """Write tables (`.tex` and `.csv`), figures (`.pdf`), methods, references, and a document that includes them.

    Args:
        directory: created if it is missing; files of the same names are replaced.
        comparison: judged.

    Returns:
        The files that were written.
    """
    contents: dict[str, str | bytes] = {
        "methods.tex": methods(comparison),
        "references.bib": bibliography(comparison),
    }
    parts = []
    for section in sections.sections_of(comparison):
        tables, pictures = section.make_tables(comparison), section.draw_pictures(comparison)
        names = files.plain_names(picture.key for picture in pictures)
        if tables or pictures:
            parts.append(f"\\section*{{{escaped(section.title)}}}")
        for table in tables:
            contents[f"tables/{table.key}.tex"] = latex_table(table) + "\n"
            contents[f"tables/{table.key}.csv"] = csv_table(table)
            parts.append(f"\\input{{tables/{table.key}}}")
        for picture, stem in zip(pictures, names, strict=True):
            name = f"figures/{stem}.pdf"
            contents[name] = pdf(picture)
            width = picture.figure.get_size_inches()[0]
            parts.append(
                "\\begin{figure}[htbp]\\centering\n"
                f"\\includegraphics[width={min(width, 6.2):.1f}in]{{{name}}}\n"
                f"\\caption{{{escaped(f'{picture.title}. {picture.note}'.strip())}}}\\end{{figure}}"
            )
        parts.append("\\clearpage")
    contents["report.tex"] = _DOCUMENT.replace("PARTS", "\n".join(parts))
    for name, content in contents.items():
        files.write_bytes(directory / name, content if isinstance(content, bytes) else content.encode())
    return [directory / name for name in contents]
