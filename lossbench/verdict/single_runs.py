"""Find runs that no comparison made, below a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, UsageError
from ..runs import layout
from ..runs.grid_file import GridCell
from ..runs.options import RunConfig
from ..runs.options_file import read_options
from ..strict_files import check_within
from .runs import DAMAGED, Problem

_DEEPEST = 4  # directories between the one that is named and a run


@dataclass(frozen=True, kw_only=True)
class _SingleRun(GridCell):
    """A run that no comparison made.

    Attributes:
        above: directories between the one that is named and the run.
    """

    above: tuple[str, ...] = ()


def single_runs(directory: Path) -> list[GridCell | Problem]:
    """Return the directories below with a `config.toml`, as runs of the loss, sampler and seed in it."""
    found = [single_run(directory, name) for name in sorted(_run_directories(directory))]
    places: dict[tuple[str, str, int, int | None], list[str]] = {}
    for cell in found:
        if isinstance(cell, _SingleRun):
            key = (cell.loss, cell.sampler, cell.seed, cell.fold)
            places.setdefault(key, []).append("/".join((*cell.above, cell.name)))
    for (loss, sampler, seed, fold), same in places.items():
        of_fold = f", fold {fold}," if fold else ""
        if len(same) > 1:
            raise ConfigError(
                f"{directory}: {loss} with sampler {sampler} and seed {seed}{of_fold} was run {len(same)} times: "
                f"{', '.join(same)}. Keep one of them"
            )
    return found


def single_run(directory: Path, name: str) -> GridCell | Problem:
    """Return the run of the loss, sampler and seed in the `config.toml` of a directory below another."""
    try:
        place = check_within(directory, *name.split("/"))
        options = read_options(place / layout.CONFIG, str(place / layout.CONFIG), links=False)
        config = RunConfig(**options)
        *above, own = name.split("/")
        return _SingleRun(
            loss=config.loss,
            sampler=config.sampler,
            seed=config.seed,
            fold=config.fold or (1 if config.folds else None),
            name=own,
            above=tuple(above),
        )
    except (UsageError, TypeError, ValueError) as error:
        return Problem(name, "", -1, DAMAGED, f"{layout.CONFIG} does not belong to a run: {error}")


def _run_directories(directory: Path, inside: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the runs below a directory, as paths from it; nothing inside a run is one, and no link is followed."""
    with os.scandir(directory / inside) as entries:
        folders = [(f"{inside}/{entry.name}".lstrip("/"), entry.is_symlink()) for entry in entries if entry.is_dir()]
    for name, is_link in folders:
        if os.path.lexists(directory / name / layout.CONFIG):
            yield name
        elif not is_link and depth < _DEEPEST:
            yield from _run_directories(directory, name, depth + 1)
