"""Draw a contact sheet: one row of images per class, to inspect the data by eye."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import DataError
from ..printable import printable
from .table import ImageTable

COLUMNS = 12
ROWS = 40  # maximum number of classes; the most frequent ones are shown
_TILE, _GAP, _MARGIN = 96, 6, 40  # pixels
_LABEL = 210  # width of the class names
_CAPTION = 20  # height of a caption
_INK, _FAINT, _PAPER, _BAR, _HOLE = "#1c1c1e", "#8a8a8e", "#ffffff", "#4c78a8", "#f2f2f4"
_SEED = 0  # of the selection: two sheets of the same data show the same images


class _Fonts(NamedTuple):
    title: ImageFont.ImageFont | ImageFont.FreeTypeFont
    name: ImageFont.ImageFont | ImageFont.FreeTypeFont
    small: ImageFont.ImageFont | ImageFont.FreeTypeFont


class Tile(NamedTuple):
    """One image of a sheet.

    Attributes:
        image: the image; None for one that cannot be read, which is a crossed square.
        caption: a short text under it.
    """

    image: Image.Image | None
    caption: str = ""


class SheetRow(NamedTuple):
    """One class of a sheet: its name, its number of images, and those that are shown, which are drawn one by one."""

    name: str
    images: int
    tiles: Iterable[Tile]


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
    counts = np.array(table.class_counts)
    shown = np.sort(np.argsort(-counts, kind="stable")[:ROWS]).tolist()
    rows = [
        SheetRow(table.class_names[target], int(counts[target]), _tiles(table, target, columns)) for target in shown
    ]
    return draw_sheet(title, _subtitle(table, len(shown)), rows, int(counts.sum()), columns=columns)


def draw_sheet(
    title: str, subtitle: str, rows: Sequence[SheetRow], total: int, *, columns: int = COLUMNS, captions: bool = False
) -> Image.Image:
    """Return a sheet of rows of images, each with its name, its count, and a bar of its share.

    Args:
        title, subtitle: printed above.
        rows: the rows, each with at most `columns` images.
        total: the number of images that shares refer to.
        columns: number of images that a row has room for.
        captions: leave room for the captions of images.
    """
    fonts = _Fonts(*(ImageFont.load_default(size) for size in (24, 18, 14)))
    step = _TILE + _GAP
    down = step + (_CAPTION if captions else 0)
    top = _MARGIN + 55
    width = 2 * _MARGIN + _LABEL + columns * step - _GAP
    sheet = Image.new("RGB", (width, max(top + len(rows) * down - _GAP, top) + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    inner = width - 2 * _MARGIN
    draw.text((_MARGIN, _MARGIN - 12), _fitted(draw, title, fonts.title, inner), _INK, fonts.title)
    draw.text((_MARGIN, _MARGIN + 20), _fitted(draw, subtitle, fonts.small, inner), _FAINT, fonts.small)
    largest = max((row.images for row in rows), default=0)
    for place, row in enumerate(rows):
        y = top + place * down
        _label(draw, row, total, largest, y, fonts)
        for column, tile in enumerate(row.tiles):
            x = _MARGIN + _LABEL + column * step
            _place(sheet, draw, tile.image, (x, y))
            if captions:
                text = _fitted(draw, tile.caption, fonts.small, _TILE)
                draw.text((x, y + _TILE + 2), text, _FAINT, fonts.small)
    return sheet


def _subtitle(table: ImageTable, shown: int) -> str:
    classes = len(table.class_names)
    more = f", the {shown} most frequent are shown" if shown < classes else ""
    return f"{len(table):,} training images, {classes:,} classes{more}"


def _tiles(table: ImageTable, target: int, columns: int) -> Iterator[Tile]:
    rows = np.random.default_rng([_SEED, target]).permutation(np.flatnonzero(table.targets == target))[:columns]
    return (Tile(_readable(table, row)) for row in rows.tolist())


def _readable(table: ImageTable, row: int) -> Image.Image | None:
    try:
        return table.read(row)
    except DataError:
        return None


def _label(draw: ImageDraw.ImageDraw, row: SheetRow, total: int, largest: int, y: int, fonts: _Fonts) -> None:
    width = _LABEL - 24
    draw.text((_MARGIN, y + 18), _fitted(draw, row.name, fonts.name, width), _INK, fonts.name)
    share = row.images / max(total, 1)
    draw.text((_MARGIN, y + 44), f"{row.images:,}  ·  {share:.1%}", _FAINT, fonts.small)
    bar = y + 70
    draw.rectangle((_MARGIN, bar, _MARGIN + width, bar + 4), _HOLE)
    filled = round(width * row.images / max(largest, 1))
    draw.rectangle((_MARGIN, bar, _MARGIN + max(filled, 1), bar + 4), _BAR)


def _place(sheet: Image.Image, draw: ImageDraw.ImageDraw, image: Image.Image | None, at: tuple[int, int]) -> None:
    x, y = at
    if image is None:
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
    """Return a text in one line with invisible characters escaped, shortened with an ellipsis if it is too wide."""
    text = " ".join(printable(text).split())
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return text + "…"
