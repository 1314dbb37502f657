"""The commands by name."""

from __future__ import annotations

import functools
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import Interrupted
from . import (
    bench,
    check,
    compare,
    data,
    doctor,
    evaluate,
    export,
    info,
    judge,
    new,
    predict,
    replay,
    report,
    run,
    verify,
    weights,
)
from .terminal import print_error


class StoppableGroup(TyperGroup):
    """The commands; a run that a signal stopped ends with its message and exit code.

    Typer ends every command that raises a KeyboardInterrupt with 130 and without a message.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Interrupted as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=StoppableGroup,
    name="lossbench",
    help="Choose, check, time and compare training losses for imbalanced classification.\n\n"
    "Start with: lossbench run --loss weighted-cluster",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("judge")(judge.judge)
app.command("list")(info.list_)
app.command("info")(info.info)
app.command("check")(check.check)
app.command("bench")(bench.bench)
app.command("verify")(verify.verify)
app.command("new")(new.new)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("predict", cls=predict.PredictCommand)(predict.predict)
app.command("replay")(replay.replay)
app.command("doctor")(doctor.doctor)
app.add_typer(data.data)
app.add_typer(weights.weights)


def _version(value: bool) -> None:
    if value:
        from .. import __version__

        print(f"lossbench {__version__}")
        raise typer.Exit


@app.callback()
def lossbench(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_version, is_eager=True
    ),
) -> None:
    pass


@functools.cache
def command() -> Any:
    """Return the command of all commands, built once a process: it takes 50 ms to read all signatures."""
    return typer.main.get_command(app)
