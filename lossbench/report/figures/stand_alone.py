"""A figure as a file of its own, in the light colors of the page."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from ...svg import plain_svg
from .drawing import to_pdf
from .picture import Picture

_FONT = "'DejaVu Sans', Verdana, Arial, sans-serif"


def stand_alone(picture: Picture) -> str:
    """Return a figure as SVG without anything that only a browser resolves."""
    return plain_svg(picture.svg, _light() | {"font": _FONT}, background=_light()["card"])


def pdf(picture: Picture) -> bytes:
    """Return a figure as PDF, for LaTeX."""
    return to_pdf(picture.figure, _light())


@cache
def _light() -> dict[str, str]:
    css = resources.files("lossbench.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    light = css[css.index(":root") : css.index("@media")]
    return dict(re.findall(r"--([\w-]+): ([^;]+);", light))
