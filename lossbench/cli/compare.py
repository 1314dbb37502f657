"""`lossbench compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ..errors import ConfigError
from ..expression import parse_formula, split_losses
from ..registry import allow_objects, check_names
from ..runs.option import Role
from ..runs.options import RunConfig, option_names
from ..what_is import quote
from .output import output_is_optional, print_json
from .parameters import (
    AGAINST,
    ALLOW_DIFFERENCES,
    CLAIM,
    EQUAL_WITHIN,
    EXECUTOR_OPTIONS,
    GRID,
    PROCESSES,
    TARGET,
    VERDICT,
    Json,
    config_file,
    switch,
    takes_options,
)
from .run_grid import Asked, run_and_judge
from .self_test import print_self_test
from .status import print_status
from .terminal import print_plain

if TYPE_CHECKING:
    from ..verdict.comparison import Comparison

_grid = partial(Option, rich_help_panel=GRID)
_TAKEN = tuple(n for n in option_names() if n not in option_names(Role.COMPARED, Role.SET_BY_COMPARE))
# What an options file says of the sampler and of the first seed holds where the command line does not say it.
_READ = (*_TAKEN, "sampler", "seed")
_INSTEAD = {
    "loss": "pass --losses",
    "carve": "compare always holds out a tenth of the training set",
}


@takes_options(_TAKEN)
def compare(
    context: typer.Context,
    config: Annotated[Path | None, config_file(_READ, _INSTEAD)] = None,
    losses: Annotated[
        str | None, _grid(metavar="FORMULAS", help='Comma-separated formulas, such as "softmax, center(alpha=0.1)".')
    ] = None,
    seeds: Annotated[int, _grid(metavar="N", min=1, help="Number of seeds; each loss is trained with each.")] = 5,
    first_seed: Annotated[
        int | None, _grid(metavar="N", min=0, help="First seed, from which the others count up (default: 0).")
    ] = None,
    samplers: Annotated[
        str | None,
        _grid(metavar="NAMES", help="Comma-separated samplers: natural, balanced, sqrt (default: natural)."),
    ] = None,
    jobs: Annotated[
        int | None,
        _grid(
            metavar="N", min=1, help="Number of cells to run in parallel (default: one per GPU, or 1 without a GPU)."
        ),
    ] = None,
    out: Annotated[
        Path | None, _grid(metavar="DIR", help="Directory of the grid; cells finished there are not run again.")
    ] = None,
    executor: Annotated[
        str,
        _grid(metavar="NAME", help="What runs the cells: local (this machine), slurm, ray, or that of a plugin."),
    ] = "local",
    executor_options: Annotated[list[str] | None, EXECUTOR_OPTIONS] = None,
    processes: Annotated[int, PROCESSES] = 1,
    status: Annotated[
        Path | None, _grid(metavar="DIR", help="Print how far the cells of the grid in this directory are, and exit.")
    ] = None,
    tune: Annotated[
        list[str] | None,
        _grid(
            metavar="NAME=LOW:HIGH",
            help="Range to tune for every loss alike, such as coefficient=0.01:1:log or lr=1e-4:1e-2:log; repeatable.",
        ),
    ] = None,
    trials: Annotated[int, _grid(metavar="N", min=1, help="Trials per loss with --tune.")] = 8,
    budgets: Annotated[
        str,
        _grid(
            metavar="FACTORS",
            help='Comma-separated multiples of the epochs, such as "1x,3x"; shows whether the verdict of the first '
            "budget holds for the others.",
        ),
    ] = "1x",
    claim: Annotated[list[str] | None, CLAIM] = None,
    against: Annotated[str | None, AGAINST] = None,
    equal_within: Annotated[float | None, EQUAL_WITHIN] = None,
    target: Annotated[float | None, TARGET] = None,
    allow_differences: Annotated[bool, ALLOW_DIFFERENCES] = False,
    self_test: Annotated[
        bool,
        switch(
            "--self-test",
            "Measure by simulation how often the verdict is wrong, in a setting like that of --out if it is given.",
            VERDICT,
        ),
    ] = False,
    json_: Json = False,
    **options: Any,
) -> None:
    """Train losses under equal conditions and report which of them differ. Resumes where it stopped if interrupted.

    lossbench compare --losses "softmax, weighted-softmax, weighted-cluster" --seeds 5 --data digits --out grid

    lossbench compare --status grid

    lossbench compare --self-test
    """
    if status is not None:
        print_status(status, json_)
        return
    if self_test:
        print_self_test(losses, seeds, out, json_)
        return
    if losses is None or out is None:
        needed = '--losses "softmax, weighted-cluster" and --out DIR, a new directory or that of a comparison to resume'
        raise ConfigError(f"pass {needed}")
    if not json_:
        output_is_optional()
    file = context.default_map or {}
    first = first_seed if first_seed is not None else int(file.get("seed", 0))
    allow_objects(losses)
    asked = Asked(
        losses=tuple(map(parse_formula, split_losses(losses))),
        samplers=tuple(part.strip() for part in (samplers or file.get("sampler", "natural")).split(",")),
        seeds=tuple(range(first, first + seeds)),
        jobs=jobs,
        tune=tuple(tune or ()),
        trials=trials,
        claims=tuple(claim or ()),
        against=against,
        equal_within=equal_within,
        executor=executor,
        executor_options=tuple(executor_options or ()),
        processes=processes,
    )
    for formula in asked.losses:
        check_names(formula)  # before torch is imported, which takes seconds
    from ..verdict.budgets import budget_content, parse_budgets

    first_budget, *others = parse_budgets(budgets)
    run_config = RunConfig(loss=str(asked.losses[0]), **options)
    from ..data.sources import check_place

    check_place(run_config.data, **run_config.opening())
    run_config = run_config.of_comparison()
    epochs = run_config.resolved(1).epochs
    if first_budget != 1:
        run_config = replace(run_config, epochs=max(1, round(first_budget * epochs)))
    comparison = run_and_judge(run_config, asked, out, allow_differences, target)
    held = []
    for budget in others:
        name, longer = f"{budget:g}x", replace(run_config, epochs=max(1, round(budget * epochs)))
        other = run_and_judge(longer, asked, out / "budgets" / name, allow_differences, target)
        held.append(budget_content(name, longer.epochs or 0, comparison, other))
    _print(comparison, json_, held)
    if not json_:
        print_plain(f"\nTo write the report: lossbench report {quote(out)} --html report.html", file=sys.stderr)
    raise typer.Exit(1 if comparison.problems else 0)


def _print(comparison: Comparison, json_: bool, budgets: Sequence[dict[str, Any]]) -> None:
    if json_:
        from ..report.as_json import comparison_content

        print_json(comparison_content(comparison) | ({"budgets": list(budgets)} if budgets else {}))
        return
    from rich.text import Text

    from ..report.terminal.comparison import comparison_summary
    from .terminal import Console

    Console().print(comparison_summary(comparison))
    from ..verdict.budgets import budget_text

    for content in budgets:
        Console().print(Text(budget_text(content)))
