"""Plan the runs of `lossbench compare`: every loss, sampler and seed, checked before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...expression import Formula, Term
from ...objective import expand_formula
from ...registry import loss_origin
from ...runs import layout
from ...runs.cells import Cell
from ...runs.grid_file import BASELINE, GRID, GridFile, write_grid_file
from ...runs.options import RunConfig
from ...versions import version
from ...what_is import what_is
from ..cached_splits import with_source_size
from ..checks import check_gradients, check_shares
from ..prepare import prepare
from ..reporter import SilentReporter
from .kept_data import OpenedSplits
from .tuning import with_values

_BASELINE = Formula((Term(BASELINE),))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid that was found feasible.

    Attributes:
        losses: as written, in the order asked for; a loss that is listed twice appears twice.
        samplers: how rows are drawn.
        seeds: of the runs.
        cells: seeds outermost, so that a grid cut short has whole seeds.
        notes: what the user should know.
    """

    losses: tuple[str, ...]
    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]


def plan(
    config: RunConfig,
    losses: Sequence[Formula],
    samplers: Sequence[str],
    seeds: Sequence[int],
    processes: int = 1,
) -> Grid:
    """Return the cells of a comparison, after checking each loss on the data without decoding images.

    Args:
        config: options of all runs; its loss, sampler, seed and fold are replaced.
        losses: formulas as written; a formula that is listed twice is run twice, as an A/A pair.
        samplers: names of `Sampler`.
        seeds: seeds of the runs.
        processes: number of processes that train each cell together.

    Raises:
        UsageError: `lossbench run` would refuse one of these runs.
    """
    if len(set(seeds)) < len(seeds) or len(set(samplers)) < len(samplers):
        raise ConfigError("--seeds and --samplers must not repeat a value")
    entrants, notes = _with_baseline(losses)
    shared = dataclasses.replace(with_source_size(config, notes.append), carve=True)
    opened = OpenedSplits()
    folds = range(1, config.folds + 1) if config.folds else (None,)
    cells: dict[tuple[int, int | None, str, tuple[str, int]], Cell] = {}
    for sampler in samplers:
        for formula, copy in entrants:
            first = dataclasses.replace(shared, loss=str(formula), sampler=sampler, seed=seeds[0], fold=folds[0])
            cell = _checked(first, copy, processes, opened, notes)
            for seed, fold in product(seeds, folds):
                own = dataclasses.replace(cell.config, seed=seed, fold=fold)
                matters = cell.matters | {"data": opened.digests(own)}
                cells[seed, fold, sampler, (cell.loss, copy)] = dataclasses.replace(cell, config=own, matters=matters)
    named = [(str(formula), copy) for formula, copy in entrants]
    ordered = tuple(cells[key] for key in product(seeds, folds, samplers, named))
    return Grid(
        losses=tuple(loss for loss, _ in named),
        samplers=tuple(samplers),
        seeds=tuple(seeds),
        cells=ordered,
        notes=tuple(dict.fromkeys(notes)),
    )


def tuned(grid: Grid, best: Mapping[str, dict[str, float]]) -> Grid:
    """Return the grid with each loss at its tuned values.

    Args:
        grid: planned grid.
        best: tuned values by "loss, sampler".
    """
    made = []
    for cell in grid.cells:
        config = with_values(cell.config, best.get(f"{cell.entrant}, {cell.config.sampler}", {}))
        matters = cell.matters | {"formula": str(expand_formula(config.formula))}
        made.append(dataclasses.replace(cell, config=config, matters=matters))
    return dataclasses.replace(grid, cells=tuple(made))


def write_grid(out: Path, grid: Grid, **more: Any) -> None:
    """Create the grid's directory and its `compare.json`.

    Raises:
        ConfigError: the directory has other files or cannot be written.
    """
    # Read once, because another comparison may start here at the same time and write the same file.
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if GRID not in found and any(not name.startswith(f".{GRID}.") for name in found):
        raise ConfigError(
            f"--out {out} is not empty and not the directory of a comparison; pass a new directory. It is "
            f"{what_is(out)}"
        )
    cells = tuple(cell.in_grid for cell in grid.cells)
    content = GridFile(
        losses=grid.losses, samplers=grid.samplers, seeds=grid.seeds, cells=cells, notes=grid.notes, **more
    )
    write_grid_file(out, content)


def numbered(losses: Sequence[Formula]) -> list[tuple[Formula, int]]:
    """Return each loss with its number among equal ones, from 1.

    Example:
        >>> from lossbench.expression import parse_formula
        >>> [copy for _, copy in numbered([parse_formula(loss) for loss in ("softmax", "center", "softmax")])]
        [1, 1, 2]
    """
    return [(loss, [str(other) for other in losses[: n + 1]].count(str(loss))) for n, loss in enumerate(losses)]


def _with_baseline(losses: Sequence[Formula]) -> tuple[list[tuple[Formula, int]], list[str]]:
    """Return the entrants with their copies; plain softmax is always one, since a loss must beat its shifted logits."""
    notes = []
    if _BASELINE not in [expand_formula(formula) for formula in losses]:
        losses = [_BASELINE, *losses]
        notes.append(f"{BASELINE} was added as the baseline of post-hoc adjustment")
    return numbered(losses), notes


def _checked(config: RunConfig, copy: int, processes: int, opened: OpenedSplits, notes: list[str]) -> Cell:
    task = prepare(config, SilentReporter(), opened)
    if processes > 1:
        check_shares(task, processes)
        check_gradients(task, processes)
    notes += task.notes
    matters = {
        "formula": str(task.formula),
        "origins": _origins(task.formula),
        "lossbench": version("lossbench"),
        "torch": version("torch"),
        "schema_version": layout.SCHEMA_VERSION,
        "weights": task.weights.origin if task.weights else None,
        "copy": copy,
    }
    return Cell(loss=config.loss, copy=copy, config=config, matters=matters, processes=processes)


def _origins(formula: Formula) -> list[str]:
    return [loss_origin(term.name) for term in formula.terms]
