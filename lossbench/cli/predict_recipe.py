"""How `predict --detect` finds and cuts out faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..data.crop_recipe import CropRecipe
from ..errors import ConfigError
from ..faces.find import INSTALL, detector_names, new_recipe
from ..runs.record import Record


def recipe_of(record: Record, run: Path, detect: str | None) -> CropRecipe | None:
    """Return the recipe for the value of `--detect`: None without it, "" for the detector of the run.

    A run that was trained on crops of `data crop` keeps its recipe, whatever the detector. Others get the margin of
    their face boxes, if they have some, or that of `data crop`.

    Raises:
        ConfigError: the run records no detector that can be used, or no such detector is installed.
        PluginError: the detector cannot be used.
    """
    if detect is None:
        return None
    recorded = record.data.crop
    if recorded is None:
        margin = record.data.box_margin
        return new_recipe(
            detect or _only_detector(run),
            align=False,
            margin=0.3 if margin is None else margin,
            size=224,
            min_score=None,
        )
    if not detect and ":" in recorded.detector:
        raise ConfigError(
            f"{run} was trained on faces that {recorded.detector!r} found; what follows the colon, such as a file, is "
            f"not taken from a record: pass --detect {recorded.detector}"
        )
    if not detect or detect == recorded.detector:
        return recorded
    own = new_recipe(detect, align=recorded.align, margin=recorded.margin, size=recorded.size, min_score=None)
    return replace(own, max_side=recorded.max_side) if own.name != recorded.name else replace(recorded, detector=detect)


def _only_detector(run: Path) -> str:
    names = detector_names()
    if len(names) == 1:
        return names[0]
    why = f"{run} was not trained on crops of lossbench data crop and records no detector"
    if not names:
        raise ConfigError(f"{why}, and none is installed: {INSTALL}")
    raise ConfigError(f"{why}: pass --detect NAME with one of {', '.join(names)}")
