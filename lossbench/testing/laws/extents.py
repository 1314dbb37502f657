"""Size and scale: rows and dimensions beyond the blocks in which they are often worked on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from ...traits import Trait
from ..law import Group, judge_parts, law
from ..trial import Trial
from .sizes import is_sound, judge_again, large_case

GROUP: Group = "Size and scale"

REPETITIONS = 350
MANY_DIMENSIONS = (24, 8, 600)
_JUDGED = ("mean-of-rows", "order-of-rows", "renamed-classes", "rotation", "translation")


@law(GROUP, searched=False)
def blocks(trial: Trial) -> None:
    """Rows and dimensions that are worked on in blocks are all worked on, up to blocks of 4,096 rows and 512
    dimensions: twelve rows that are repeated to 4,200 have their value, if the loss is declared samplewise; and for 24
    rows in 600 dimensions, value and gradient are finite, the gradient is the derivative, and the symmetries hold.

    Remedy: look for chunks whose results are put together wrongly, or that lose the last part.
    """
    parts: list[Callable[[], None]] = []
    if trial.configuration.declares(Trait.SAMPLEWISE) and not trial.configuration.is_random:
        parts.append(partial(_is_repeated, trial))
    if "embeddings" in trial.reads:
        case, where = large_case(trial.configuration, *MANY_DIMENSIONS), "{} rows, {} classes, {} dimensions"
        where = where.format(*MANY_DIMENSIONS)
        parts.append(partial(is_sound, trial, case, where))
        parts += judge_again(trial, _JUDGED, case, where)
    judge_parts(parts)


def _is_repeated(trial: Trial) -> None:
    with torch.no_grad():
        output = trial.changed(trial.output(), lambda t: t.repeat(REPETITIONS, 1), "logits", "embeddings")
        targets = trial.targets.repeat(REPETITIONS)
        expected = trial.loss(trial.output(), trial.targets)
        trial.same(f"{len(targets):,} rows against {len(trial.targets)}", trial.loss(output, targets), expected)
