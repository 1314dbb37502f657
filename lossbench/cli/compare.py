"""`lossbench compare`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ..errors import ConfigError
from .shared import run_options, with_options_of_run

if TYPE_CHECKING:
    from ..expression import Formula
    from ..runs.cells import Cell
    from ..runs.options import RunConfig
    from ..verdict.comparison import Comparison

_GRID, _VERDICT = "Grid", "Verdict"


@with_options_of_run
def compare(
    context: typer.Context,
    losses: Annotated[
        str | None, Option(help='Formulas between commas: "softmax, center(alpha=0.1)".', rich_help_panel=_GRID)
    ] = None,
    seeds: Annotated[int, Option(help="Runs of each loss.", min=1, rich_help_panel=_GRID)] = 5,
    first_seed: Annotated[int | None, Option(help="Seeds count from it.", min=0, rich_help_panel=_GRID)] = None,
    samplers: Annotated[
        str | None, Option(help="Between commas: natural, balanced, sqrt.", rich_help_panel=_GRID)
    ] = None,
    jobs: Annotated[
        int | None, Option(help="Cells at a time; default: one a GPU, else one.", min=1, rich_help_panel=_GRID)
    ] = None,
    out: Annotated[
        Path | None, Option(help="Directory of the grid; what is finished there is kept.", rich_help_panel=_GRID)
    ] = None,
    tune: Annotated[
        list[str] | None,
        Option(
            help="coefficient=0.01:1:log or lr=1e-4:1e-2:log, for every loss alike; repeatable.", rich_help_panel=_GRID
        ),
    ] = None,
    trials: Annotated[int, Option(help="Of each loss, with --tune.", min=1, rich_help_panel=_GRID)] = 8,
    target: Annotated[
        float | None,
        Option(help="Time is taken to this balanced accuracy on the selection split.", rich_help_panel=_VERDICT),
    ] = None,
    allow_differences: Annotated[
        bool, Option("--allow-differences", help="Compare also runs of other conditions.", rich_help_panel=_VERDICT)
    ] = False,
    self_test: Annotated[
        bool, Option("--self-test", help="Simulate: how often is the verdict wrong?", rich_help_panel=_VERDICT)
    ] = False,
    json_: Annotated[bool, Option("--json", help="Print one object.", rich_help_panel=_VERDICT)] = False,
    **options: Any,
) -> None:
    """Train losses under equal conditions and say which differ. Interrupted, it goes on where it was.

    lossbench compare --losses "softmax, weighted-softmax, weighted-cluster" --seeds 5 --data digits --out grid

    lossbench compare --self-test
    """
    if self_test:
        _self_test(losses, seeds, json_)
        return
    if losses is None or out is None:
        raise ConfigError(
            'give --losses "softmax, weighted-cluster" and --out DIR, a new directory or that of the comparison to go '
            "on with"
        )
    from ..expression import parse_formula
    from ..harness.grid.plan import split_losses
    from ..runs.options import RunConfig

    told = context.default_map or {}
    first = first_seed if first_seed is not None else int(told.get("seed", 0))
    asked = Asked(
        losses=tuple(map(parse_formula, split_losses(losses))),
        samplers=tuple(part.strip() for part in (samplers or told.get("sampler", "natural")).split(",")),
        seeds=tuple(range(first, first + seeds)),
        jobs=jobs,
        tune=tuple(tune or ()),
        trials=trials,
    )
    config = RunConfig(loss=str(asked.losses[0]), **run_options(options))
    _run(config, asked, out)
    from ..verdict.comparison import compare as compare_records

    comparison = compare_records(out, allow_differences=allow_differences, target=target)
    _print(comparison, json_)
    if not json_:
        typer.echo(f"\nlossbench report {out} --html report.html   draws it", err=True)
    raise typer.Exit(1 if comparison.problems else 0)


@dataclass(frozen=True)
class Asked:
    """The grid as the command line has it."""

    losses: tuple[Formula, ...]
    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    jobs: int | None
    tune: tuple[str, ...]
    trials: int


def _run(config: RunConfig, asked: Asked, out: Path) -> None:
    """Plans, tunes where that is asked, and runs what is not finished."""
    from ..harness.grid.devices import gpus_for
    from ..harness.grid.plan import plan, tuned, write_grid
    from ..harness.grid.pool import run_cells
    from ..harness.grid.tuning import check_tunable, parse_range, tune
    from .watch_grid import GridWatch

    ranges = [parse_range(text) for text in asked.tune]
    check_tunable(asked.losses, ranges)
    grid = plan(config, asked.losses, asked.samplers, asked.seeds)
    gpus = gpus_for(config.device)
    jobs = asked.jobs or max(gpus, 1)
    more: dict[str, Any] = {"command": ["lossbench", *sys.argv[1:]], "trials": [], "tuned_options": []}
    write_grid(out, grid, more)

    def run(cells: Sequence[Cell], title: str = f"tuning in {out}") -> None:
        with GridWatch(title, cells) as watch:
            run_cells(cells, out, jobs=jobs, gpus=gpus, watch=watch)

    for note in grid.notes:
        typer.echo(note, err=True)
    if ranges:
        firsts = [cell for cell in grid.cells if cell.config.seed == asked.seeds[0]]
        found, best = tune(firsts, ranges, asked.trials, out, run)
        grid = tuned(grid, best)
        options = sorted({r.name for r in ranges if r.is_option})
        write_grid(out, grid, more | {"trials": found, "tuned_options": options, "tuned": best})
    run(grid.cells, f"comparison in {out}")


def _print(comparison: Comparison, json_: bool) -> None:
    if json_:
        from ..report.as_json import comparison_content

        typer.echo(json.dumps(comparison_content(comparison), allow_nan=False))
        return
    from rich.console import Console

    from ..report.terminal.comparison import comparison_summary

    Console().print(comparison_summary(comparison))


def _self_test(losses: str | None, seeds: int, json_: bool) -> None:
    from ..harness.grid.plan import split_losses
    from ..report.terminal.self_test import self_test, self_test_table
    from ..verdict.self_test import Setting

    entrants = len(split_losses(losses)) if losses else Setting.entrants
    if entrants < 2 or seeds < 2:
        raise ConfigError("--self-test simulates at least two losses and two seeds")
    content = self_test(Setting(entrants=entrants, seeds=seeds))
    if json_:
        typer.echo(json.dumps(content))
        return
    from rich.console import Console

    from ..report.terminal.table import TerminalTable

    Console().print(TerminalTable(self_test_table(content)))
