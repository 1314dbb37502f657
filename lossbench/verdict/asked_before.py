"""Planned questions and looks in `compare.json`: stated before the first run, remembered ever after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..runs.cells import CELLS
from ..runs.grid_file import GRID, GridFile, read_grid_file, write_grid_file
from ..runs.layout import RECORD
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


def check_names(claims: Sequence[str], against: str | None, losses: Sequence[str]) -> None:
    """Refuse a question about a loss that is not compared.

    Raises:
        ConfigError: with the names of the losses.
    """
    questions = read_questions(claims, against)
    known = {"".join(loss.split()) for loss in losses}
    named = [(f"--claim {a} > {b}", name) for a, b in questions.claims for name in (a, b)]
    named += [("--against", against)] if against else []
    for option, name in named:
        if "".join(name.partition(", ")[0].split()) not in known and "".join(name.split()) not in known:
            raise ConfigError(f"{option}: no loss is named {name!r}; expected one of {', '.join(losses)}")


def _text(value: Any) -> str:
    return ", ".join(f'"{part}"' for part in value) if isinstance(value, tuple) else str(value or "")
