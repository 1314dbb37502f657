"""SVG that any viewer draws: without style sheets, variables or web fonts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_POINT = 4 / 3  # pixels
_WEIGHTS = {"bold", "normal", *map(str, range(100, 1000, 100))}
_ATTRIBUTES = {
    "clip-path", "fill", "fill-opacity", "fill-rule", "font-family", "font-size", "font-style", "font-weight",
    "opacity", "stop-color", "stop-opacity", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width", "text-anchor", "text-decoration",
}  # fmt: skip


def plain_svg(svg: str, variables: Mapping[str, str] | None = None, background: str = "#ffffff") -> str:
    """Return a drawing as a file of its own, with every style written as an attribute of its element.

    Args:
        svg: a drawing by matplotlib or rich, with or without `var(--name)` in its styles.
        variables: name -> value, for `var(--name)`.
        background: color behind the drawing.

    Example:
        >>> drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path style="fill: var(--ink)"/></svg>'
        >>> plain_svg(drawing, {"ink": "#111"}).partition("/>")[2]
        '<path fill="#111" /></svg>\\n'
    """
    for prefix, uri in (("", _SVG), ("xlink", _XLINK)):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(re.sub(r"^\s*<\?xml.*?\?>\s*(<!DOCTYPE.*?>\s*)?", "", svg, flags=re.DOTALL))
    rules = _take_style_sheets(root)
    max_width = re.match(r"max-width: (\d+)px", root.get("style", ""))
    for element in root.iter():
        styles = dict(_declarations(element.attrib.pop("style", "")))
        for name in element.attrib.pop("class", "").split():
            styles = {**rules.get(f".{name}", {}), **styles}
        for name, value in styles.items():
            resolved = re.sub(r"var\(--([\w-]+)\)", lambda found: (variables or {})[found[1]], value)
            for attribute, plain in _as_attributes(name, resolved):
                element.set(attribute, plain)
        if element.tag == f"{{{_SVG}}}path":
            for name, value in rules.get("*", {}).items():
                element.attrib.setdefault(name, value)
        if "textLength" in element.attrib:
            _without_padding(element)
    *_, width, height = map(float, root.attrib["viewBox"].split())
    in_points = root.get("width", "").endswith("pt")
    unit = float(max_width[1]) / width if max_width else _POINT if in_points else 1.0
    root.set("width", f"{width * unit:.0f}")
    root.set("height", f"{height * unit:.0f}")
    root.insert(0, ElementTree.Element(f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": background}))
    lines = ElementTree.tostring(root, encoding="unicode").splitlines()
    return (
        "\n".join(['<?xml version="1.0" encoding="utf-8"?>', *(line.rstrip() for line in lines if line.strip())]) + "\n"
    )


def _take_style_sheets(root: ElementTree.Element) -> dict[str, dict[str, str]]:
    """Remove style sheets and metadata; return the rules of single classes, and of `*`."""
    rules: dict[str, dict[str, str]] = {}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}style":
                for selector, body in re.findall(r"(?:^|\})\s*([.*][\w-]*)\s*\{([^}]*)", child.text or ""):
                    rules.setdefault(selector, {}).update(_declarations(body))
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    return rules


def _without_padding(text: ElementTree.Element) -> None:
    """Replace the spaces around a text of known length by its position: some viewers strip them."""
    padded = text.text or ""
    width = float(text.attrib["textLength"]) / max(len(padded), 1)
    text.text = padded.strip()
    text.set("x", f"{float(text.get('x', '0')) + width * (len(padded) - len(padded.lstrip())):g}")
    text.set("textLength", f"{width * len(text.text):g}")


def _declarations(text: str) -> list[tuple[str, str]]:
    pairs = (part.partition(":") for part in text.split(";") if ":" in part)
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _as_attributes(name: str, value: str) -> list[tuple[str, str]]:
    """Return a declaration as attributes; what has no attribute is left out."""
    if name != "font":
        return [(name, value)] if name in _ATTRIBUTES else []
    weight, size, family = re.fullmatch(r"(?:([\w.]+) )*?([\d.]+px) (.*)", value, re.DOTALL).groups()  # type: ignore[union-attr]
    return [*([("font-weight", weight)] if weight in _WEIGHTS else []), ("font-size", size), ("font-family", family)]
