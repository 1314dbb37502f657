"""The formats of an export and where it is written."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError, did_you_mean


class Format(StrEnum):
    """A file format of an export."""

    ONNX = "onnx"
    TORCH = "torch"
    SAFETENSORS = "safetensors"

    @property
    def suffix(self) -> str:
        """The ending of its files."""
        return {Format.ONNX: ".onnx", Format.TORCH: ".pt2", Format.SAFETENSORS: ".safetensors"}[self]


def format_named(name: str) -> Format:
    """Return the format of a name.

    Raises:
        ConfigError: there is no such format.
    """
    try:
        return Format(name)
    except ValueError:
        raise ConfigError(f"--to {name}: no such format. {did_you_mean(name, map(str, Format))}") from None


class Place(NamedTuple):
    """Where an export is written.

    Attributes:
        model: file of the model.
        card: file of the model card.
    """

    model: Path
    card: Path


def place_of(out: Path, form: Format, run: Path) -> Place:
    """Return the files of an export: a file and a card beside it, or `model.*` and `README.md` in a directory.

    Raises:
        ConfigError: the name has the ending of another format, or lies in the directory of the run.

    Example:
        >>> place_of(Path("faces.onnx"), Format.ONNX, Path("runs/a")).card.name
        'faces.onnx.md'
        >>> place_of(Path("release"), Format.TORCH, Path("runs/a")).model.as_posix()
        'release/model.pt2'
    """
    if out.is_dir() or not out.suffix:
        place = Place(out / f"model{form.suffix}", out / "README.md")
    elif out.suffix.lower() == form.suffix:
        place = Place(out, out.with_name(f"{out.name}.md"))
    else:
        raise ConfigError(
            f"--out {out}: expected a name that ends in {form.suffix} for --to {form}, or the name of a directory"
        )
    if place.model.resolve().is_relative_to(run.resolve()):
        raise ConfigError(f"--out {out} lies in the directory of the run; pass a place outside {run}")
    return place
