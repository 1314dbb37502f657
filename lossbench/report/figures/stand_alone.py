"""A figure as an SVG file of its own."""

from __future__ import annotations

import re
from importlib import resources

from ...svg import plain_svg
from .picture import Picture

_FONT = "'DejaVu Sans', Verdana, Arial, sans-serif"


def stand_alone(picture: Picture) -> str:
    """Return a figure in the light colors of the page, without anything that only a browser resolves."""
    css = resources.files("lossbench.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    light = css[css.index(":root") : css.index("@media")]
    variables = dict(re.findall(r"--([\w-]+): ([^;]+);", light)) | {"font": _FONT}
    return plain_svg(picture.svg, variables, background=variables["card"])
