"""Planned questions and looks in `compare.json`: stated before the first run, remembered ever after."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data import Sampler
from ..errors import ConfigError
from ..runs.cells import CELLS
from ..runs.grid_file import BASELINE, GRID, GridFile, read_grid_file, write_grid_file
from ..runs.layout import RECORD
from .derived import DERIVED, POST_HOC, derived_name, split_name
from .named import check_pair, not_plain, plain
from .questions import Questions, read_questions
from .statistics import FEWEST_SEEDS


def questions_of(grid: GridFile | None) -> Questions:
    """Return the questions that a comparison was started with."""
    return Questions() if grid is None else read_questions(grid.claims, grid.against, grid.equal_within)


def looks_of(grid: GridFile | None) -> tuple[int, ...]:
    """Return the numbers of seeds at which a verdict was given, the present one last."""
    if grid is None:
        return ()
    now = len(grid.seeds)
    return (*sorted({n for n in grid.looks if n < now}), now)


def remember_look(out: Path) -> None:
    """Note in `compare.json` that a verdict was given with its seeds."""
    grid = read_grid_file(out)
    if len(grid.seeds) >= FEWEST_SEEDS and len(grid.seeds) not in grid.looks:
        write_grid_file(out, replace(grid, looks=(*grid.looks, len(grid.seeds))))


def keep_questions(out: Path, claims: Sequence[str], against: str | None, equal_within: float | None) -> dict[str, Any]:
    """Return the questions and looks for `compare.json`: those that are given now, or those that lie there.

    Args:
        out: directory of the comparison.
        claims, against, equal_within: as given now; empty or None to keep what was asked before.

    Raises:
        ConfigError: a question is malformed, or differs from what was asked before the first run.
    """
    read_questions(claims, against, equal_within)
    given = {"claims": tuple(claims), "against": against, "equal_within": equal_within}
    if not (out / GRID).exists():
        return given
    before = read_grid_file(out)
    finished = len(list((out / CELLS).glob(f"*/{RECORD}")))
    for name, value in given.items():
        old = getattr(before, name)
        if not value:
            given[name] = old
        elif value != old and finished:
            option = {"claims": "--claim"}.get(name, f"--{name.replace('_', '-')}")
            raise ConfigError(
                f"{option} {_text(value)}: {out} was started with {_text(old) or 'none'} and has {finished} finished "
                "run(s). A planned question is stated before the first run: start a new comparison with another --out "
                "and other seeds (--first-seed), or read the pair among all pairs"
            )
    return given | {"looks": before.looks}


def check_names(
    claims: Sequence[str],
    against: str | None,
    losses: Sequence[str],
    samplers: Sequence[str] = (),
    baselines: Collection[str] = (BASELINE,),
) -> None:
    """Refuse a question that the verdict could not answer, before the first run.

    Args:
        claims, against: planned questions as written.
        losses: as written.
        samplers: names of the samplers.
        baselines: those of `losses` that are plain softmax.

    Raises:
        ConfigError: a name is not that of a loss or of answers derived from it, or a pair is named twice.
    """
    several = len(samplers) > 1
    known = {plain(loss): (loss, f"{loss}, {samplers[0]}" if several else loss) for loss in losses}
    if several:
        known |= {plain(label := f"{loss}, {sampler}"): (loss, label) for loss in losses for sampler in samplers}

    def label_of(name: str, option: str) -> str:
        base, kind = split_name(name)
        if plain(base) not in known:
            kinds = ", ".join(DERIVED)
            raise ConfigError(
                f"{option}: no loss is named {base!r}; expected one of {', '.join(losses)}, as trained or followed by "
                f"({kinds.replace(', ', '), (')})"
            )
        loss, label = known[plain(base)]
        if kind == POST_HOC and loss not in baselines:
            raise ConfigError(f"{option}: {not_plain(derived_name(base, kind))}")
        if kind == POST_HOC and several and label == known[plain(loss)][1] and Sampler.NATURAL in samplers:
            label = f"{loss}, {Sampler.NATURAL}"
        return derived_name(label, kind) if kind else label

    seen: list[set[str]] = []
    for better, worse in read_questions(claims, against).claims:
        option = f"--claim {better} > {worse}"
        pair = {label_of(better, option), label_of(worse, option)}
        check_pair(pair, seen, option)
        seen.append(pair)
    if against:
        label_of(against, "--against")


def _text(value: Any) -> str:
    return ", ".join(f'"{part}"' for part in value) if isinstance(value, tuple) else str(value or "")
