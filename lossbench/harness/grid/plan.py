"""What `lossbench compare` runs: every loss under every sampler with every seed, checked before anything is written."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ... import files
from ...data.request import Splits
from ...data.sources import open_data, source_of
from ...data.table import ImageTable
from ...errors import ConfigError
from ...expression import Formula, Term
from ...objective import expand_formula
from ...registry import loss_origin
from ...runs import layout
from ...runs.cells import Cell
from ...runs.option import Role
from ...runs.options import RunConfig
from ..prepare import Readable, prepare
from ..reporter import Reporter, SilentReporter
from .tuning import with_values

GRID = "compare.json"
BASELINE = "softmax"
_BASELINE = Formula((Term(BASELINE),))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid that was found feasible.

    Attributes:
        losses: entrants in the order asked for, " #2" where one takes part again.
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


def plan(config: RunConfig, losses: Sequence[Formula], samplers: Sequence[str], seeds: Sequence[int]) -> Grid:
    """The cells of a comparison, each loss tried on the data as far as that goes without decoding an image.

    Args:
        config: the options that all runs share; its loss, sampler and seed are replaced.
        losses: formulas as written; a formula that is listed twice is run twice, as an A/A pair.
        samplers: of `Sampler`.
        seeds: of the runs.

    Raises:
        UsageError: anything that `lossbench run` would refuse under one of these losses.
    """
    if len(set(seeds)) < len(seeds) or len(set(samplers)) < len(samplers):
        raise ConfigError("--seeds and --samplers: each stands once")
    entrants, notes = _with_baseline(losses)
    shared = dataclasses.replace(config, carve=True)
    opened = _Opened()
    cells: dict[tuple[int, str, str], Cell] = {}
    for sampler in samplers:
        for name, formula in entrants.items():
            first = dataclasses.replace(shared, loss=str(formula), sampler=sampler, seed=seeds[0])
            cell = _checked(first, name, opened, notes)
            for seed in seeds:
                own = dataclasses.replace(cell.config, seed=seed)
                matters = cell.matters | {"data": opened.digests(own)}
                cells[seed, sampler, name] = dataclasses.replace(cell, config=own, matters=matters)
    ordered = tuple(cells[seed, sampler, name] for seed in seeds for sampler in samplers for name in entrants)
    return Grid(
        losses=tuple(entrants),
        samplers=tuple(samplers),
        seeds=tuple(seeds),
        cells=ordered,
        notes=tuple(dict.fromkeys(notes)),
    )


def tuned(grid: Grid, best: Mapping[str, dict[str, float]]) -> Grid:
    """The grid with each loss at the values that tuning chose for it.

    Args:
        grid: as planned.
        best: "loss, sampler" -> values.
    """
    made = []
    for cell in grid.cells:
        config = with_values(cell.config, best.get(f"{cell.loss}, {cell.config.sampler}", {}))
        matters = cell.matters | {"formula": str(expand_formula(config.formula))}
        made.append(dataclasses.replace(cell, config=config, matters=matters))
    return dataclasses.replace(grid, cells=tuple(made))


def write_grid(out: Path, grid: Grid, more: dict[str, Any]) -> None:
    """Makes the grid's directory and says in `compare.json` what belongs to it.

    Raises:
        ConfigError: it holds other files, or can't be written.
    """
    # One look, since another comparison may begin here at this moment, and write the same file.
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if GRID not in found and any(not name.startswith(f".{GRID}.") for name in found):
        raise ConfigError(f"--out {out} holds other files than a comparison's; give a new directory")
    content = {
        "schema_version": layout.SCHEMA_VERSION,
        "losses": list(grid.losses),
        "samplers": list(grid.samplers),
        "seeds": list(grid.seeds),
        "cells": [
            {"loss": c.loss, "sampler": c.config.sampler, "seed": c.config.seed, "name": c.name} for c in grid.cells
        ],
        "notes": list(grid.notes),
        **more,
    }
    files.write_json(out / GRID, content)


def numbered(losses: Sequence[str]) -> tuple[str, ...]:
    """Entrants' names: a loss that stands twice is told apart by its number.

    Example:
        >>> numbered(["softmax", "center", "softmax"])
        ('softmax', 'center', 'softmax #2')
    """
    named = []
    for n, loss in enumerate(losses):
        copy = list(losses[: n + 1]).count(loss)
        named.append(loss if copy == 1 else f"{loss} #{copy}")
    return tuple(named)


def unnumbered(name: str) -> tuple[str, int]:
    """The formula of an entrant and which copy it is."""
    loss, mark, copy = name.rpartition(" #")
    return (loss, int(copy)) if mark else (name, 1)


def _with_baseline(losses: Sequence[Formula]) -> tuple[dict[str, Formula], list[str]]:
    """Return the entrants by name; plain softmax is always one, since a loss must beat its shifted logits."""
    notes = []
    if _BASELINE not in [expand_formula(formula) for formula in losses]:
        losses = [_BASELINE, *losses]
        notes.append(f"{BASELINE} was added: post-hoc adjustment starts from it")
    return dict(zip(numbered([str(formula) for formula in losses]), losses, strict=True)), notes


def _checked(config: RunConfig, name: str, opened: _Opened, notes: list[str]) -> Cell:
    _, copy = unnumbered(name)
    task = prepare(config, SilentReporter(), opened)
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
    return Cell(loss=name, config=config, matters=matters)


def _origins(formula: Formula) -> list[str]:
    return [loss_origin(term.name) for term in formula.terms]


class _Opened:
    """Reads splits without decoding an image, each once: a worker will decode them all."""

    def __init__(self) -> None:
        self._splits: dict[int, Splits] = {}
        self._digests: dict[int, list[str]] = {}

    def __call__(self, config: RunConfig, reporter: Reporter) -> Readable:
        del reporter
        return self._open(config), ()

    def digests(self, config: RunConfig) -> list[str]:
        key = self._key(config)
        if key not in self._digests:
            splits = self._open(config)
            self._digests[key] = [part for t in (splits.train, splits.test) for part in (t.digest(), _sizes(t))]
        return self._digests[key]

    def _open(self, config: RunConfig) -> Splits:
        key = self._key(config)
        if key not in self._splits:
            self._splits[key] = open_data(config.data, **config.values(Role.OPENS_DATA))
        return self._splits[key]

    def _key(self, config: RunConfig) -> int:
        return config.seed if source_of(config.data).depends_on_seed else -1


def _sizes(table: ImageTable) -> str:
    """Bytes of the files behind a table: an exchanged image is seldom of the same size."""
    sizes = [os.stat(path).st_size if os.path.exists(path) else -1 for path in table.paths or ()]
    return hashlib.sha256(repr(sizes).encode()).hexdigest()
