"""Every picture of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...verdict.comparison import Comparison
from .accuracy import cost_plot, forest, over_time, scores, tuning_curves
from .classes import by_class, confusions, reliabilities
from .maps import class_legend, maps
from .picture import Picture


def all_pictures(comparison: Comparison) -> dict[str, list[Picture]]:
    """Section -> its pictures."""
    single: dict[str, Sequence[Callable[[Comparison], Picture | None]]] = {
        "accuracy": (scores, forest),
        "classes": (by_class, reliabilities),
        "training": (over_time, tuning_curves),
        "cost": (cost_plot,),
    }
    made = {
        section: [picture for draw in draws if (picture := draw(comparison)) is not None]
        for section, draws in single.items()
    }
    made["confusion"] = confusions(comparison)
    made["maps"] = maps(comparison)
    made["map-legend"] = [picture for picture in [class_legend(comparison)] if picture and made["maps"]]
    return made
