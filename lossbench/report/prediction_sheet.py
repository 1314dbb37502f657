"""A contact sheet of predictions: for each predicted class some of its images, as the model saw them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..data.contact_sheet import COLUMNS, ROWS, SheetRow, Tile, draw_sheet
from ..data.table import Pixels

_THUMBNAIL = 96  # pixels
_SEED = 0  # of the selection: two sheets of the same predictions show the same images


class PredictionSheet:
    """Collects a random selection of the images of each class, and draws it. Memory does not grow with the images.

    Args:
        names: C class names.
        title: title of the sheet.
    """

    def __init__(self, names: Sequence[str], title: str) -> None:
        self._names, self._title = names, title
        self._counts = np.zeros(len(names), dtype=np.int64)
        self._errors = 0
        self._tiles: dict[int, list[Tile]] = {}
        self._draw = np.random.default_rng(_SEED)

    def add(self, predicted: int, probability: float, pixels: Pixels, name: str) -> None:
        """Add an image: every image of a class has the same chance to be shown (reservoir sampling)."""
        self._counts[predicted] += 1
        tiles = self._tiles.setdefault(predicted, [])
        place = len(tiles) if len(tiles) < COLUMNS else int(self._draw.integers(self._counts[predicted]))
        if place < COLUMNS:
            image = Image.fromarray(pixels)
            image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
            tiles[place : place + 1] = [Tile(image, f"{probability:.2f} {name}")]

    def add_error(self) -> None:
        """Count an image without a prediction."""
        self._errors += 1

    def draw(self) -> Image.Image:
        """Return the sheet: the classes with the most images, in the order of their numbers."""
        total = int(self._counts.sum())
        most = np.sort(np.argsort(-self._counts, kind="stable")[:ROWS])
        shown = [int(target) for target in most if self._counts[target]]
        rows = [SheetRow(self._names[t], int(self._counts[t]), self._tiles[t]) for t in shown]
        classes = int((self._counts > 0).sum())
        subtitle = f"{total:,} images predicted, {classes:,} of {len(self._names):,} classes"
        if len(shown) < classes:
            subtitle += f", the {len(shown)} most frequent are shown"
        if self._errors:
            subtitle += f"; {self._errors:,} without a prediction"
        return draw_sheet(self._title, subtitle, rows, total, captions=True)
