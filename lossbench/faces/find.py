"""Load a detector by its name, and find and cut out the faces of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..data.crop_recipe import CropRecipe
from ..detectors import Detector, Face
from ..discovery import DETECTORS, Plugin, mend, plugins
from ..errors import ConfigError, LossbenchError, PluginError, brief, did_you_mean
from ..printable import shortened
from .geometry import Crop, cut_out

INSTALL = "pip install ./plugins/lossbench-faces"
_MOST = 10_000  # faces of one image


class Found(NamedTuple):
    """The faces of a photograph, the largest first, and why there are none."""

    faces: tuple[Face, ...]
    reason: str = ""


class FaceFinder:
    """Finds and cuts out faces. One thread at a time may use it.

    Args:
        recipe: how.

    Raises:
        ConfigError: no such detector is installed, or it refuses its argument.
        PluginError: the detector cannot be used.

    Attributes:
        recipe: with the version of the detector that is installed.
    """

    def __init__(self, recipe: CropRecipe) -> None:
        plugin, self._detector = load_detector(recipe.detector)
        self.recipe = replace(recipe, version=_version(plugin, self._detector))

    def __call__(self, image: Image.Image) -> Found:
        """Return the faces of an upright RGB image; an error of the detector is the reason why there are none."""
        try:
            faces = self._detect(image)
        except (KeyboardInterrupt, MemoryError, LossbenchError):
            raise
        except Exception as error:  # of the detector, which may be anyone's
            return Found((), f"the detector {self.recipe.name} failed: {shortened(brief(error), 200)}")
        kept = [face for face in faces if face.score >= self.recipe.min_score]
        if not kept:
            best = max((face.score for face in faces), default=None)
            below = "" if best is None else f" (best score {best:.3g}, below {self.recipe.min_score:g})"
            return Found((), f"no face found{below}")
        kept.sort(key=lambda face: (-face.side, face.box))
        return Found(tuple(kept))

    def _detect(self, image: Image.Image) -> list[Face]:
        shrink = max(1.0, max(image.size) / self.recipe.max_side)
        small = image
        if shrink > 1:
            small = image.resize(
                (max(1, round(image.width / shrink)), max(1, round(image.height / shrink))), Image.Resampling.BOX
            )
        found = list(self._detector(np.array(small)))
        if len(found) > _MOST:
            raise ValueError(f"it found {len(found):,} faces; at most {_MOST:,} are read")
        if wrong := next((face for face in found if not isinstance(face, Face)), None):
            raise TypeError(f"it returned {type(wrong).__name__}, expected lossbench.detectors.Face")
        return [face.scaled(shrink) for face in found]

    def crop(self, image: Image.Image, face: Face) -> Crop:
        """Return the crop of a face.

        Raises:
            NoCropError: saying why there is none.
        """
        recipe = self.recipe
        return cut_out(image, face, align=recipe.align, margin=recipe.margin, size=recipe.size)


def detector_names() -> list[str]:
    """Return the names of the installed detectors, sorted, without importing them."""
    return sorted({plugin.name for plugin in plugins(DETECTORS)})


def new_recipe(detector: str, *, align: bool, margin: float, size: int, min_score: float | None) -> CropRecipe:
    """Return the recipe of options; the lowest score of a face is the detector's own unless it is given.

    Raises:
        ConfigError: a value is outside its range, or no such detector is installed.
        PluginError: the detector cannot be used.
    """
    plugin, built = load_detector(detector)
    own = float(getattr(built, "min_score", 0.0))
    try:
        return CropRecipe(
            detector=detector,
            version=_version(plugin, built),
            align=align,
            margin=margin,
            size=size,
            min_score=own if min_score is None else min_score,
        )
    except ValueError as error:
        raise ConfigError(f"--{str(error).replace('_', '-', 1)}") from None


def load_detector(written: str) -> tuple[Plugin, Detector]:
    """Return a detector by "NAME" or "NAME:ARGUMENT" with the entry point that it comes from.

    Raises:
        ConfigError: no such detector is installed, several are, or it refuses its argument.
        PluginError: the detector cannot be used.
    """
    name, _, argument = written.partition(":")
    found = [plugin for plugin in plugins(DETECTORS) if plugin.name == name]
    if not found:
        hint = did_you_mean(name, known) if (known := detector_names()) else f"None is installed: {INSTALL}"
        raise ConfigError(f"no detector {name!r} is installed. {hint}")
    if len(found) > 1:
        raise ConfigError(
            f"several installed distributions have a detector {name!r}: {_places(found)}. Uninstall all but one"
        )
    (plugin,) = found
    build = plugin.load()
    if not callable(build):
        raise PluginError(f"{name!r} of {plugin.where} must be a function that returns a detector")
    try:
        detector = build(argument)
    except (KeyboardInterrupt, LossbenchError):
        raise
    except BaseException as error:  # a plugin may also call sys.exit
        raise PluginError(
            f"the detector {name!r} of {plugin.where} cannot be built: {brief(error)}\n{mend(plugin.distribution)}"
        ) from error
    if not callable(detector):
        raise PluginError(f"{name!r} of {plugin.where} must return a detector, got {type(detector).__name__}")
    score = getattr(detector, "min_score", 0.0)
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise PluginError(f"{name!r} of {plugin.where} has the min_score {score!r}; expected a finite number")
    return plugin, detector


def _version(plugin: Plugin, detector: Detector) -> str:
    return str(getattr(detector, "version", None) or f"{plugin.distribution} {plugin.version}")


def _places(found: Sequence[Plugin]) -> str:
    return ", ".join(plugin.distribution for plugin in found)
