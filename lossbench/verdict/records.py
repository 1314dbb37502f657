"""The runs of a comparison that lie in a directory, each checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..runs.cells import CELLS
from ..runs.grid_file import GRID, GridCell, GridFile, read_grid_file
from ..runs.layout import RECORD
from ..what_is import what_is
from .folds import join_folds
from .run_files import read_run
from .runs import Ints, Problem, Run
from .single_runs import single_run, single_runs


@dataclass(frozen=True)
class Records:
    """What a directory holds.

    Attributes:
        directory: where.
        losses: as written, in the order asked for, each once.
        samplers: in the order asked for.
        runs: those that can be used, with the folds of a seed joined to one.
        problems: those that cannot.
        grid: content of `compare.json`; None for a directory of single runs.
    """

    directory: Path
    losses: tuple[str, ...]
    samplers: tuple[str, ...]
    runs: tuple[Run, ...]
    problems: tuple[Problem, ...]
    grid: GridFile | None

    @property
    def is_one_run(self) -> bool:
        """Whether the directory is that of a run, so that there is nothing to compare."""
        return self.grid is None and any(run.directory == self.directory for run in self.runs)


def read_records(directory: Path) -> Records:
    """Read the directory of a comparison, or one whose subdirectories are runs.

    Raises:
        ConfigError: it is neither.
        RecordError: its `compare.json` is damaged or was written in another schema version.
    """
    if not directory.is_dir():
        raise ConfigError(
            f"{directory}: no such directory; expected that of a comparison, of a run, or one that holds runs; it is "
            f"{what_is(directory)}"
        )
    grid = read_grid_file(directory) if os.path.lexists(directory / GRID) else None
    if grid is None and os.path.lexists(directory / RECORD):
        directory = directory.resolve()
        root, wanted = directory.parent, [single_run(directory.parent, directory.name)]
    else:
        root, wanted = directory, list(grid.cells) if grid else single_runs(directory)
    if not wanted:
        raise ConfigError(f"{directory} holds neither {GRID} nor directories of runs: it is {what_is(directory)}")
    known: dict[bytes, Ints] = {}
    found = [
        cell if isinstance(cell, Problem) else read_run(known, cell, root, *getattr(cell, "above", (CELLS,)))
        for cell in wanted
    ]
    runs, incomplete = join_folds((run for run in found if isinstance(run, Run)), known)
    problems = [problem for problem in found if isinstance(problem, Problem)]
    told = {(p.loss, p.sampler, p.seed) for p in problems}
    problems += [p for p in incomplete if (p.loss, p.sampler, p.seed) not in told]
    cells = [cell for cell in wanted if isinstance(cell, GridCell)]
    return Records(
        directory,
        tuple(dict.fromkeys(cell.loss for cell in cells)),
        tuple(dict.fromkeys(cell.sampler for cell in cells)),
        tuple(runs),
        tuple(problems),
        grid,
    )
