"""A comparison as one HTML file that opens offline: no script, no request, light and dark, readable on a phone."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..verdict.comparison import Comparison
from ..verdict.sentences import verdict_words
from . import sections


def page(comparison: Comparison) -> str:
    """Return the HTML of a judged comparison."""
    environment = Environment(
        loader=PackageLoader("lossbench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw_svg"] = lambda picture: Markup(picture.svg)  # drawn by us; its texts are escaped
    made = [
        {
            "key": section.key,
            "title": section.title,
            "small": section.small,
            "tables": section.make_tables(comparison),
            "pictures": section.draw_pictures(comparison),
        }
        for section in sections.SECTIONS
    ]
    headline, *words = verdict_words(comparison)
    return environment.get_template("report.html").render(
        headline=headline,
        words=words,
        notes=comparison.notes,
        sections=[section for section in made if section["tables"] or section["pictures"]],
        style=Markup(environment.get_template("report.css").render()),
    )
