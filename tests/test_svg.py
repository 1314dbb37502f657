"""Drawings that stand alone hold nothing that only a browser resolves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from lossbench.report.figures.drawing import INK, new_figure, series
from lossbench.report.figures.picture import Picture
from lossbench.report.figures.stand_alone import stand_alone
from lossbench.svg import plain_svg

IMAGES = sorted((Path(__file__).parents[1] / "docs" / "images").glob("*.svg"))
RSVG = shutil.which("rsvg-convert")


def figure() -> str:
    drawing, axis = new_figure(2.0)
    axis.plot([0, 1], [0, 1], color=series(1), lw=6)
    axis.annotate("a < b", (0.2, 0.8), color=INK)
    return stand_alone(Picture("line", "A line", drawing, "A line"))


def check_plain(text: str) -> None:
    root = ElementTree.fromstring(text.encode())
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"style", "script", "foreignObject", "image", "metadata"}
    names = {name.rpartition("}")[2] for element in root.iter() for name in element.attrib}
    assert not names & {"style", "class"}
    assert "var(" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert float(root.attrib["width"]) > 100
    assert float(root.attrib["height"]) > 100


def test_a_figure_of_the_report_is_plain() -> None:
    text = figure()
    check_plain(text)
    assert 'stroke="#d4682a"' in text
    assert "a &lt; b" in text


@pytest.mark.parametrize("file", IMAGES, ids=[file.name for file in IMAGES])
def test_drawings_in_the_docs_are_plain(file: Path) -> None:
    check_plain(file.read_text(encoding="utf-8"))


@pytest.mark.skipif(RSVG is None, reason="rsvg-convert is not installed: apt-get install librsvg2-bin")
def test_a_viewer_that_is_no_browser_draws_the_colors(tmp_path: Path) -> None:
    assert RSVG is not None
    (tmp_path / "line.svg").write_text(figure(), encoding="utf-8")
    subprocess.run([RSVG, tmp_path / "line.svg", "-o", tmp_path / "line.png"], check=True)
    with Image.open(tmp_path / "line.png") as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {(0xFF, 0xFF, 0xFF), (0xD4, 0x68, 0x2A)} <= colors


def test_fonts_and_padding_are_attributes() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 90"><style>.a { fill: #123456 }</style>'
        '<text class="a" x="10" textLength="60" style="font: bold 9px sans-serif">\u00a0\u00a0abcd</text></svg>'
    )
    text = plain_svg(svg)
    assert 'x="30"' in text
    assert ">abcd<" in text
    for attribute in ('font-weight="bold"', 'font-size="9px"', 'font-family="sans-serif"', 'fill="#123456"'):
        assert attribute in text
