"""A comparison as one HTML file that opens offline: no script, no request, light and dark, on a phone, too."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..verdict.comparison import Comparison
from ..verdict.sentences import verdict_words
from .figures.every import all_pictures
from .figures.picture import Picture
from .provenance import commands, environment_rows, facts, objectives
from .tables.every import all_tables
from .tables.table import Table

_SECTIONS = (
    ("accuracy", "Balanced accuracy", ("ranking", "pairs")),
    ("threshold", "Loss or threshold?", ("thresholds", "gains", "samplers", "attribution", "priors")),
    ("classes", "Class by class", ("recall", "tail", "changes")),
    ("confusion", "Confusion matrices", ()),
    ("maps", "Embeddings", ()),
    ("training", "Training and tuning", ("tuning",)),
    ("cost", "Cost", ("costs",)),
    ("problems", "Runs that could not be used", ("problems",)),
)


def page(comparison: Comparison) -> str:
    """The whole file.

    Args:
        comparison: judged.
    """
    environment = Environment(
        loader=PackageLoader("lossbench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw_svg"] = lambda picture: Markup(picture.svg)  # drawn by us; its texts are escaped
    tables = {table.key: table for table in all_tables(comparison)}
    pictures = all_pictures(comparison)
    sections = [_section(key, title, wanted, tables, pictures) for key, title, wanted in _SECTIONS]
    headline, *words = verdict_words(comparison)
    return environment.get_template("report.html").render(
        headline=headline,
        words=words,
        notes=comparison.notes,
        sections=[section for section in sections if section["tables"] or section["pictures"]],
        facts=facts(comparison),
        formulas=objectives(comparison),
        commands=commands(comparison),
        environment=environment_rows(comparison),
        style=Markup(environment.get_template("report.css").render()),
    )


def standing_alone(picture: Picture) -> str:
    """A figure as a file of its own: the page's colors and fonts go with it, light and dark."""
    css = resources.files("lossbench.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root (\{.*?\n *\})", css, re.DOTALL)
    own = f"svg {light} @media (prefers-color-scheme: dark) {{ svg {dark} }} svg {{ background: var(--card) }}"
    head, bracket, rest = picture.svg.partition(">")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{bracket}<style>{own}</style>{rest}'


def _section(
    key: str,
    title: str,
    wanted: tuple[str, ...],
    tables: dict[str, Table],
    pictures: dict[str, list[Picture]],
) -> dict[str, Any]:
    return {
        "key": key,
        "title": title,
        "tables": [tables[name] for name in wanted if name in tables],
        "pictures": pictures.get(key, []),
        "legend": pictures["map-legend"] if key == "maps" else [],
    }
