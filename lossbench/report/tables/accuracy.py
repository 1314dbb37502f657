"""The ranking of losses, and every pair."""

from __future__ import annotations

import numpy as np

from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from ...verdict.format import around, p_value, points, span
from ...verdict.resampling import image_interval
from ...verdict.statistics import FEWEST_SEEDS, paired_t
from .table import Table


def ranking(comparison: Comparison) -> Table:
    """Return the entrants from the best mean to the worst, with both sources of uncertainty."""
    rows = []
    letters = _letters(comparison)
    for entrant in comparison.entrants:
        over_seeds = "-"
        if len(entrant.scores) >= FEWEST_SEEDS:
            low, high = around(paired_t(list(entrant.scores.values())))
            over_seeds = f"{100 * low:.1f} to {100 * high:.1f}"
        rows.append(
            (
                entrant.label,
                f"{100 * entrant.mean:.1f}",
                "-" if entrant.sd is None else f"{100 * entrant.sd:.1f}",
                over_seeds,
                _over_images(entrant),
                str(len(entrant.scores)),
                letters.get(entrant.label, "-"),
            )
        )
    note = "Per cent. Losses that share a letter are not shown to differ."
    columns = ("loss", comparison.metric.name, "sd", "95 % over seeds", "95 % over test images", "seeds", "group")
    return Table(
        "ranking",
        comparison.metric.title,
        columns,
        tuple(rows),
        note,
        frozenset({0}),
        frozenset({"sd", "95 % over test images"}),
    )


def every_pair(comparison: Comparison) -> Table:
    """Return the difference of each pair."""
    rows = []
    for pair in comparison.pairs:
        verdict = "no claim" if pair.p is None else ("differ" if pair.different else "not shown")
        rows.append(
            (
                f"{pair.first} - {pair.second}",
                points(pair.mean),
                "-" if pair.interval is None else span(pair.interval),
                "-" if pair.images is None else span(pair.images),
                "-" if pair.p is None else p_value(pair.p),
                verdict + (" *" if pair.different and pair.of_these_images else ""),
                "-" if pair.smallest is None else f"{100 * pair.smallest:.1f}",
                _seeds_needed(pair.seeds_needed, pair.p),
            )
        )
    note = (
        f"Points of {comparison.metric.name}, paired by seed. The first interval is Student's over seeds, for this "
        "pair alone; the second is a stratified bootstrap over test images with the runs as they are. p is Holm's, "
        f"over all {len(comparison.pairs)} pairs; below 0.05 the pair differs."
    )
    if any(pair.different and pair.of_these_images for pair in comparison.pairs):
        note += " * on these test images: with others of the same classes it could vanish."
    columns = ("difference", "mean", "95 % over seeds", "95 % over images", "p, Holm", "verdict",
               "shown 4 in 5", "seeds to show it")  # fmt: skip
    wide = frozenset({"95 % over images", "p, Holm", "shown 4 in 5"})
    return Table("pairs", "Every pair", columns, tuple(rows), note, wide=wide)


def _over_images(entrant: Entrant) -> str:
    targets = [run.predictions.test.targets for run in entrant.runs.values()]
    if any(not np.array_equal(targets[0], other) for other in targets[1:]):
        return "-"
    low, high = image_interval(entrant.right(list(entrant.runs)), targets[0])
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _letters(comparison: Comparison) -> dict[str, str]:
    """Return label -> letters of its groups; letters continue from sampler to sampler."""
    found: dict[str, str] = {}
    number = 0
    for groups in comparison.groups.values():
        for group in groups:
            letter = chr(ord("a") + number % 26) + "'" * (number // 26)
            number += 1
            for label in group:
                found[label] = found.get(label, "") + letter
    return found


def _seeds_needed(needed: int | None, p: float | None) -> str:
    return "-" if p is None else ("> 1000" if needed is None else str(needed))
