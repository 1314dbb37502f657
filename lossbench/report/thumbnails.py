"""Thumbnails of test images, embedded in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from ..errors import DataError
from ..printable import shortened
from ..verdict.runs import Run

if TYPE_CHECKING:
    from ..data.table import ImageTable

_SIDE = 112  # pixels
_QUALITY = 80
_LABEL = 26  # characters


@dataclass(frozen=True)
class Tile:
    """One image with its caption.

    Attributes:
        source: the thumbnail as a `data:` address; empty if the image cannot be read.
        caption: lines below it.
        name: name of the image, for screen readers and as a tooltip.
        wrong: whether the prediction is wrong.
    """

    source: str = field(repr=False)
    caption: tuple[str, ...]
    name: str
    wrong: bool


@dataclass(frozen=True)
class Gallery:
    """A group of images under a title.

    Attributes:
        key: identifier for tests.
        title: what the images have in common.
        tiles: the images.
        note: how they were chosen.
    """

    key: str
    title: str
    tiles: tuple[Tile, ...]
    note: str


def thumbnails(run: Run, rows: Sequence[int], data: str | None) -> dict[int, tuple[str, str]]:
    """Return row -> (name, thumbnail as a `data:` address); the address of an unreadable image is empty."""
    from ..harness.evaluation.stored_rows import open_stored_rows

    ids = run.predictions.test.sample_ids
    if ids is None or not rows:
        return {}
    names = [str(ids[row]) for row in rows]
    table = open_stored_rows(run.directory, run.record, names, data)
    table.prepare()
    return {row: (names[place], _thumbnail(table, place)) for place, row in enumerate(rows)}


def _thumbnail(table: ImageTable, row: int) -> str:
    try:
        image = table.read(row)
    except DataError:
        return ""
    file = io.BytesIO()
    ImageOps.contain(image, (_SIDE, _SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def make_tile(shown: tuple[str, str], caption: tuple[str, ...], *, wrong: bool) -> Tile:
    """Return a tile with long captions cut.

    Args:
        shown: an entry of `thumbnails`.
        caption: lines below the image.
        wrong: whether the prediction is wrong.
    """
    name, source = shown
    return Tile(source, tuple(shortened(line, _LABEL) for line in caption), name, wrong)
