"""`lossbench run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ..errors import ConfigError
from ..registry import allow_objects, check_names, object_names
from ..runs.inputs import check_weights_place
from ..runs.layout import check_unclaimed, check_unfinished
from ..runs.option import Role, flag
from ..runs.options import RunConfig, option_names
from .output import exits_are_failures, output_is_optional, print_json
from .parameters import Json, config_file, takes_options

if TYPE_CHECKING:
    from ..harness.finish import RunResult


_EPOCHS = " (the learning rate falls to zero over the epochs that it started with)"


@takes_options(option_names())
def run(
    context: typer.Context,
    resume: Annotated[Path | None, Option(metavar="DIR", help="Resume the interrupted run in this directory.")] = None,
    config: Annotated[Path | None, config_file(option_names())] = None,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="Output directory (default: a new one under runs/).")
    ] = None,
    json_: Json = False,
    **options: Any,
) -> None:
    """Train a model with a loss, evaluate it once on the test split, and write the record.

    lossbench run --loss weighted-cluster

    lossbench run --loss "softmax + 0.1*center" --data csv:faces/train.csv --val faces/val.csv

    lossbench run --resume runs/NAME
    """
    from .watch_run import LOADING, RichReporter, working

    if not json_:
        output_is_optional()
    with exits_are_failures(), RichReporter() as reporter:
        if resume is not None:
            changed = _given_with_resume(context)
            allow_objects(str(options["loss"] or ""))
            check_unfinished(resume)
            with working(LOADING):
                from ..harness.resume import resume as resume_run

            _show(resume_run(resume, reporter, **changed), json_)
            return
        if options["loss"] is None:
            raise ConfigError("--loss is missing: a loss or formula, such as --loss weighted-cluster")
        allow_objects(options["loss"])
        checked = RunConfig(**options)
        # Before torch is imported, which takes seconds.
        check_names(checked.formula)
        from ..data.sources import check_place

        check_place(checked.data, **checked.opening())
        check_weights_place(checked.weights)
        if out is not None:
            check_unclaimed(out)
        with working(LOADING):
            from ..harness.cached_splits import with_source_size
            from ..harness.run import run as run_task

        result = run_task(with_source_size(checked, reporter.message), out, reporter)
    _show(result, json_)


def _given_with_resume(context: typer.Context) -> dict[str, Any]:
    """Return the options passed with `--resume`: those that do not change the result."""
    any_time = option_names(Role.ANY_TIME, Role.LOCATES_DATA)
    given = {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    allowed = {name: value for name, value in given.items() if name in any_time}
    # A run does not import a file that its own options name; the command line names it again.
    again = {"loss"} if "loss" in given and object_names(str(given["loss"])) else set()
    if odd := sorted(given.keys() - allowed.keys() - {"resume", "json_"} - again):
        why = _EPOCHS if "epochs" in odd else ""
        raise ConfigError(
            f"--resume continues a run with its own options; with {', '.join(map(flag, odd))} it would be a different "
            f"run{why}. Start a new run, or change only: {', '.join(map(flag, any_time))}"
        )
    return allowed


def _show(result: RunResult, json_: bool) -> None:
    if result.record is None:
        return  # one of several processes: only the first one prints
    if json_:
        print_json(result.to_json())
        return
    from ..report.terminal.run import run_summary
    from .terminal import Console

    Console().print(run_summary(result.record, result.directory))
