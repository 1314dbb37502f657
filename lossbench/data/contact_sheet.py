"""Draw a contact sheet: one row of images per class, to inspect the data by eye."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import DataError
from .table import ImageTable

COLUMNS = 12
ROWS = 40  # maximum number of classes; the most frequent ones are shown
_TILE, _GAP, _MARGIN = 96, 6, 40  # pixels
_LABEL = 210  # width of the class names
_INK, _FAINT, _PAPER, _BAR, _HOLE = "#1c1c1e", "#8a8a8e", "#ffffff", "#4c78a8", "#f2f2f4"
_SEED = 0  # of the selection: two sheets of the same data show the same images


class _Fonts(NamedTuple):
    title: ImageFont.ImageFont | ImageFont.FreeTypeFont
    name: ImageFont.ImageFont | ImageFont.FreeTypeFont
    small: ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(table: ImageTable, title: str, columns: int = COLUMNS) -> Image.Image:
    """Return a picture of a table: for each class its name, number of images, a bar of its share, and some images.

    Classes are in the order of their numbers. Images are selected at random with a fixed seed and scaled to fit a
    square. An unreadable image is a crossed square.

    Args:
        table: table whose images are shown.
        title: title of the sheet.
        columns: maximum number of images per class.

    Example:
        >>> from lossbench.data.sources import open_data
        >>> contact_sheet(open_data("digits").train, "digits", columns=5).size
        (794, 1149)
    """
    fonts = _Fonts(*(ImageFont.load_default(size) for size in (24, 18, 14)))
    counts = np.array(table.class_counts)
    shown = np.sort(np.argsort(-counts, kind="stable")[:ROWS]).tolist()
    step = _TILE + _GAP
    top = _MARGIN + 55
    width = 2 * _MARGIN + _LABEL + columns * step - _GAP
    sheet = Image.new("RGB", (width, top + len(shown) * step - _GAP + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    inner = width - 2 * _MARGIN
    draw.text((_MARGIN, _MARGIN - 12), _fitted(draw, title, fonts.title, inner), _INK, fonts.title)
    draw.text(
        (_MARGIN, _MARGIN + 20), _fitted(draw, _subtitle(table, len(shown)), fonts.small, inner), _FAINT, fonts.small
    )
    for place, target in enumerate(shown):
        y = top + place * step
        _label(draw, table.class_names[target], counts, target, y, fonts)
        rows = np.flatnonzero(table.targets == target)
        for column, row in enumerate(np.random.default_rng([_SEED, target]).permutation(rows)[:columns].tolist()):
            _place(sheet, draw, table, row, (_MARGIN + _LABEL + column * step, y))
    return sheet


def _subtitle(table: ImageTable, shown: int) -> str:
    classes = len(table.class_names)
    more = f", the {shown} most frequent are shown" if shown < classes else ""
    return f"{len(table):,} training images, {classes:,} classes{more}"


def _label(draw: ImageDraw.ImageDraw, name: str, counts: np.ndarray, target: int, y: int, fonts: _Fonts) -> None:
    share = counts[target] / max(counts.sum(), 1)
    width = _LABEL - 24
    draw.text((_MARGIN, y + 18), _fitted(draw, name, fonts.name, width), _INK, fonts.name)
    draw.text((_MARGIN, y + 44), f"{counts[target]:,}  ·  {share:.1%}", _FAINT, fonts.small)
    bar = y + 70
    draw.rectangle((_MARGIN, bar, _MARGIN + width, bar + 4), _HOLE)
    filled = round(width * counts[target] / max(counts.max(), 1))
    draw.rectangle((_MARGIN, bar, _MARGIN + max(filled, 1), bar + 4), _BAR)


def _place(sheet: Image.Image, draw: ImageDraw.ImageDraw, table: ImageTable, row: int, at: tuple[int, int]) -> None:
    x, y = at
    try:
        image = table.read(row)
    except DataError:
        draw.rectangle((x, y, x + _TILE - 1, y + _TILE - 1), _HOLE)
        draw.line((x, y, x + _TILE - 1, y + _TILE - 1), _FAINT)
        draw.line((x, y + _TILE - 1, x + _TILE - 1, y), _FAINT)
        return
    scale = _TILE / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    # Small images, such as digits, keep sharp pixels.
    image = image.resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS)
    draw.rectangle((x, y, x + _TILE - 1, y + _TILE - 1), _HOLE)
    sheet.paste(image, (x + (_TILE - size[0]) // 2, y + (_TILE - size[1]) // 2))


def _fitted(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int
) -> str:
    """Return a text, shortened with an ellipsis if it is too wide."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return text + "…"
