"""A comparison as one HTML file that opens offline: no script, no request, light and dark, readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..printable import printable
from ..verdict.comparison import Comparison
from ..verdict.format import plural
from ..verdict.sentences import sentences
from . import sections as section_list
from .figures.accuracy import lead
from .figures.picture import Picture
from .thumbnails import Gallery

_LIMITS = {
    "failures": "What stands against it",
    "limit": "What stands against it",
    "control": "Control",
    "resolution": "What could not have been seen",
}  # kind of a sentence -> heading on the first screen


@dataclass(frozen=True)
class Head:
    """What a page begins with.

    Attributes:
        title: title of the window.
        eyebrow: line above the decision.
        decision: heading.
        limits: (heading, text) beside the picture.
        findings: paragraphs below.
        lead: picture beside the decision.
    """

    title: str
    eyebrow: str
    decision: str
    limits: Sequence[tuple[str, str]]
    findings: Sequence[str]
    lead: Picture


def page(comparison: Comparison, galleries: Sequence[Gallery] = ()) -> str:
    """Return the HTML of a judged comparison.

    Args:
        comparison: the comparison.
        galleries: images to embed.
    """
    told = sentences(comparison)
    head = Head(
        title="lossbench: a comparison of losses",
        eyebrow="lossbench · verdict",
        decision=told[0].text,
        limits=[(_LIMITS[sentence.kind], sentence.text) for sentence in told if sentence.kind in _LIMITS],
        findings=[sentence.text for sentence in told[1:] if sentence.kind not in _LIMITS],
        lead=lead(comparison),
    )
    return rendered(comparison, head, made_sections(comparison, section_list.SECTIONS, galleries, before="tail"))


def made_sections(
    comparison: Comparison, sections: Sequence[section_list.Section], galleries: Sequence[Gallery], *, before: str
) -> list[dict[str, Any]]:
    """Return the content of sections, those without any left out.

    Args:
        comparison: the comparison.
        sections: sections in reading order.
        galleries: images to embed.
        before: key of the section that follows the images.
    """
    made: list[dict[str, Any]] = []
    for section in sections:
        if section.key == before and galleries:
            empty: dict[str, Any] = {"tables": [], "pictures": [], "small": False}
            made.append({"key": "images", "title": "Images", "galleries": galleries, **empty})
        tables, pictures = section.make_tables(comparison), section.draw_pictures(comparison)
        if tables or pictures:
            own = {"key": section.key, "title": section.title, "small": section.small, "galleries": ()}
            made.append({**own, "tables": tables, "pictures": pictures})
    return made


def rendered(comparison: Comparison, head: Head, sections: Sequence[dict[str, Any]]) -> str:
    """Return the HTML of a page."""
    environment = Environment(
        loader=PackageLoader("lossbench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw_svg"] = lambda picture: Markup(picture.svg)  # drawn by us; its texts are escaped
    return printable(
        environment.get_template("report.html").render(
            head=head,
            notes=comparison.notes,
            notes_title=f"{plural(len(comparison.notes), 'note')}: {'; '.join(comparison.notes)}",
            sections=sections,
            style=Markup(environment.get_template("report.css").render()),
        )
    )
