"""Command-line parameters that several commands share, above all the options of a run."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer import Option

from ..runs.option import about, flag
from ..runs.options import RunConfig, option_names
from .output import reserve_output

Command = TypeVar("Command", bound=Callable[..., None])
_METAVARS = {bool: "", int: "N", float: "X"}


def switch(name: str, text: str, panel: str | None = None) -> Any:
    """Return an option without a value.

    Args:
        name: as it is written: "--json".
        text: its help.
        panel: the group that `--help` prints it in.
    """
    return Option(name, help=text, metavar="", rich_help_panel=panel)


VERDICT, GRID = "Verdict", "Grid"
Json = Annotated[
    bool, Option("--json", help="Print the result as JSON.", metavar="", is_eager=True, callback=reserve_output)
]
LossFile = Annotated[
    str | None,
    Option(metavar="FILE.py:NAME", help="File of the loss of a run that was trained with one (default: none)."),
]
TARGET = Option(
    help="Also report the training time needed to reach this balanced accuracy on the selection split.",
    metavar="ACCURACY",
    rich_help_panel=VERDICT,
)
CLAIM = Option(
    metavar="CLAIM",
    rich_help_panel=VERDICT,
    help='Planned claim, such as "center > softmax", stated before the results are known and tested apart from the '
    "exploration of all pairs; repeatable. A name may be followed by (post-hoc), (measured tau) or (refit).",
)
AGAINST = Option(
    metavar="LOSS", rich_help_panel=VERDICT, help="Loss that every other loss is tested against, as planned."
)
EQUAL_WITHIN = Option(
    metavar="POINTS",
    rich_help_panel=VERDICT,
    help="Margin in points of the metric: losses whose whole interval lies within it are called equal.",
)
EXECUTOR_OPTIONS = Option(
    "--executor-options",
    "--slurm",
    "--ray",
    metavar="NAME=VALUE",
    rich_help_panel=GRID,
    help='Options of the executor, such as "partition=gpu gpus=1 time=2:00:00"; repeatable.',
)
PROCESSES = Option(
    metavar="N",
    min=1,
    rich_help_panel=GRID,
    help="Number of processes that train each cell together and share its batches, on one GPU each if there are GPUs.",
)
ALLOW_DIFFERENCES = switch("--allow-differences", "Compare runs even if their settings differ.", VERDICT)


def takes_options(names: Collection[str], **helps: str) -> Callable[[Command], Command]:
    """Return a decorator that gives a command, in place of its `**options`, one parameter per option of a run.

    Args:
        names: the options.
        helps: option -> help text, where the command uses the option in another way than a run does.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = [_parameter(name, helps.get(name)) for name in option_names() if name in names]
        # Without default or panel first, as `--help` prints them; a sort keeps the order otherwise.
        parameters = sorted([*own, *taken], key=lambda p: (p.default is not p.empty, p.name != "loss"))
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        return command

    return decorate


@cache
def _kinds() -> dict[str, Any]:
    """Return the type of every option; evaluating all annotations for each option would take half of `--help`."""
    return typing.get_type_hints(RunConfig)


def _parameter(name: str, help_text: str | None) -> inspect.Parameter:
    known, kind = about(RunConfig, name), _kinds()[name]
    default = RunConfig.__dataclass_fields__[name].default
    required = default is dataclasses.MISSING
    flags = [flag(name)] if kind is bool else []  # no --no-NAME beside it
    metavar = next((text for k, text in _METAVARS.items() if k in (kind, *typing.get_args(kind))), known.metavar)
    option = Option(*flags, help=help_text or known.help, metavar=metavar, rich_help_panel=known.panel)
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        # Typer would demand it of --resume, too; a command refuses its absence itself.
        default=None if required else default,
        annotation=Annotated[kind | None if required else kind, option],
    )


def config_file(names: Collection[str], instead: Mapping[str, str] | None = None) -> Any:
    """Return the `--config` option of a command: the values of a TOML file become the defaults of its other options.

    Args:
        names: the keys that the command uses.
        instead: option of a run that the command does not use -> what takes its place.
    """

    def read(context: typer.Context, path: Path | None) -> Path | None:
        if path is None:
            return None
        from ..runs.options_file import read_options

        context.default_map = read_options(path, f"--config {path}", names, instead or {})
        return path

    return Option(help="TOML file with options, which flags override.", metavar="FILE", is_eager=True, callback=read)
