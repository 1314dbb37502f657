"""Run the grid that `lossbench compare` asks for, and judge it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import Interrupted
from ..expression import Formula
from ..runs.grid_file import BASELINE
from ..runs.options import RunConfig
from .terminal import print_plain

if TYPE_CHECKING:
    from ..runs.cells import Cell
    from ..verdict.comparison import Comparison


def run_and_judge(
    config: RunConfig, asked: Asked, out: Path, allow_differences: bool, target: float | None
) -> Comparison:
    """Run what is not finished of a comparison, and judge it.

    Raises:
        Exit: with code 0, if the executor submitted jobs and does not wait for them.
    """
    from ..harness.grid.executors import Submitted
    from ..verdict.asked_before import remember_look
    from ..verdict.judge import compare as compare_records
    from .watch_run import working

    try:
        _run(config, asked, out)
    except Submitted as submitted:
        print_plain(submitted, file=sys.stderr)
        raise typer.Exit(0) from submitted
    except KeyboardInterrupt as error:
        raise Interrupted(
            "stopped by Ctrl-C; run the same command again, and cells continue from their checkpoints", signal.SIGINT
        ) from error
    remember_look(out)
    with working(f"comparing the runs of {out}"):
        return compare_records(out, allow_differences=allow_differences, target=target)


@dataclass(frozen=True)
class Asked:
    """The grid that the command line asks for."""

    losses: tuple[Formula, ...]
    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    jobs: int | None
    tune: tuple[str, ...]
    trials: int
    claims: tuple[str, ...]
    against: str | None
    equal_within: float | None
    executor: str = "local"
    executor_options: tuple[str, ...] = ()
    processes: int = 1


def _run(config: RunConfig, asked: Asked, out: Path) -> None:
    """Plan the grid, tune if asked to, and run the cells that are not finished."""
    from ..harness.grid.devices import check_devices, gpus_for
    from ..harness.grid.executors import Order, executor, parse_options
    from ..harness.grid.plan import plan, tuned, write_grid
    from ..harness.grid.tuning import check_tunable, parse_range, tune
    from ..verdict.asked_before import check_names as check_questions
    from ..verdict.asked_before import keep_questions
    from .watch_grid import GridWatch

    engine_options = parse_options(asked.executor_options)
    execute = executor(asked.executor, engine_options, asked.processes)
    gpus = gpus_for(config.device)
    check_devices(config.device, asked.processes, gpus if asked.executor == "local" else None)
    ranges = [parse_range(text) for text in asked.tune]
    check_tunable(asked.losses, ranges)
    grid = plan(config, asked.losses, asked.samplers, asked.seeds, asked.processes)
    baselines = {cell.loss for cell in grid.cells if cell.matters["formula"] == BASELINE}
    check_questions(asked.claims, asked.against, grid.losses, grid.samplers, baselines)
    known: dict[str, Any] = {"command": ("lossbench", *sys.argv[1:])}
    known |= keep_questions(out, asked.claims, asked.against, asked.equal_within)
    write_grid(out, grid, **known)

    def run(cells: Sequence[Cell], title: str = f"tuning in {out}") -> None:
        with GridWatch(title, cells) as watch:
            execute(
                Order(
                    cells=cells,
                    out=out,
                    watch=watch,
                    jobs=asked.jobs,
                    gpus=gpus,
                    options=engine_options,
                    processes=asked.processes,
                )
            )

    for note in grid.notes:
        print_plain(note, file=sys.stderr)
    if ranges:
        firsts = [c for c in grid.cells if c.config.seed == asked.seeds[0] and c.config.fold in (None, 1)]
        found, best = tune(firsts, ranges, asked.trials, out, run)
        grid = tuned(grid, best)
        options = tuple(sorted({r.name for r in ranges if r.is_option}))
        write_grid(out, grid, trials=found, tuned_options=options, tuned=best, **known)
    run(grid.cells, f"comparison in {out}")
