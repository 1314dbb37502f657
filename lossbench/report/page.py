"""A comparison as one HTML file that opens offline: no script, no request, light and dark, readable on a phone."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..printable import printable
from ..verdict.comparison import Comparison
from ..verdict.format import plural
from ..verdict.sentences import sentences
from . import sections as section_list
from .figures.accuracy import lead

_LIMITS = {
    "failures": "What stands against it",
    "limit": "What stands against it",
    "control": "Control",
    "resolution": "What could not have been seen",
}  # kind of a sentence -> heading on the first screen


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
        for section in section_list.SECTIONS
    ]
    told = sentences(comparison)
    return printable(
        environment.get_template("report.html").render(
            decision=told[0].text,
            limits=[(_LIMITS[sentence.kind], sentence.text) for sentence in told if sentence.kind in _LIMITS],
            findings=[sentence.text for sentence in told[1:] if sentence.kind not in _LIMITS],
            lead=lead(comparison),
            notes=comparison.notes,
            notes_title=f"{plural(len(comparison.notes), 'note')}: {'; '.join(comparison.notes)}",
            sections=[section for section in made if section["tables"] or section["pictures"]],
            style=Markup(environment.get_template("report.css").render()),
        )
    )
