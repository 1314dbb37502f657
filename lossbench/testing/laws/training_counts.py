"""Size and scale: class counts of every size are read as they are."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..cases import fixed_case
from ..configuration import Configuration
from ..law import Group, law
from ..trial import Trial

GROUP: Group = "Size and scale"
# Integers of 7, 8, 15 and 16 bits end between these, and float16. No other count lies between them.
NEIGHBOURS = ((127, 128), (255, 256), (32_767, 32_768), (65_500, 65_536))
_OTHERS = (40, 3_000, 500_000)
_LARGEST_CHANGE = 0.1


def _counts_do_not_matter(configuration: Configuration) -> str | None:
    return None if configuration.counts_matter else "it does not read class counts"


@law(GROUP, searched=False, unless=_counts_do_not_matter)
def neighbouring_counts(trial: Trial) -> None:
    """One more training image of a class changes value and gradient by less than a tenth, if the class has more than a
    hundred: also from 127 to 128, 255 to 256, 32,767 to 32,768 and around 65,520, where small number types end.

    Remedy: keep class counts in int64 or float64, and compute weights and margins from them in float64.
    """
    for fewer, more in NEIGHBOURS:
        value, gradients = _with_count(trial, fewer)
        other, its_gradients = _with_count(trial, more)
        what = f"{more:,} images of class 0 against {fewer:,}"
        trial.same(what, other, value, tolerance=_LARGEST_CHANGE)
        trial.same_gradients(what, its_gradients, gradients, tolerance=_LARGEST_CHANGE)


def _with_count(trial: Trial, count: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return value and gradients on one row of each class, if there are `count` training images of class 0."""
    classes = 1 + len(_OTHERS)
    case = fixed_case(size=classes, classes=classes, dim=trial.configuration.fitting_dim(classes, 6))
    task = Trial(trial.configuration, replace(case, class_counts=(count, *_OTHERS)))
    return task.gradients(task.build(), task.output(), task.targets)
