"""`lossbench bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError
from .bench_tables import cost_table, growth_table, print_errors, suite_table
from .output import print_json
from .parameters import Json, switch

if TYPE_CHECKING:
    from ..bench import Workload
    from ..bench.suite import Line


def bench(
    losses: Annotated[
        list[str] | None,
        Argument(metavar="LOSS", help="Names, formulas or module:object (default: all built-in losses)."),
    ] = None,
    against: Annotated[
        str,
        Option(
            metavar="PEERS", help="Comma-separated implementations to compare with: pml, torch, naive, or any loss."
        ),
    ] = "",
    batch_size: Annotated[int, Option("--batch-size", "-b", metavar="N", help="Rows per batch.")] = 128,
    classes: Annotated[int, Option(metavar="N", help="Number of classes.")] = 8,
    dim: Annotated[int, Option(metavar="N", help="Embedding dimension.")] = 128,
    device: Annotated[str, Option(metavar="DEVICE", help="Device: cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int, Option(metavar="N", help="Number of CPU threads; with 1, times are CPU time.", min=1)] = 1,
    seconds: Annotated[float, Option(metavar="X", help="Seconds to time each loss, per workload.", min=0.01)] = 1.0,
    learn_state: Annotated[bool, switch("--learn-state", "Compute a gradient for the centers as well.")] = False,
    grow: Annotated[
        str, Option(metavar="AXIS", help="Measure the growth of the cost in B (batch), C (classes) or D (dimension).")
    ] = "",
    sizes: Annotated[str, Option(metavar="SIZES", help="Comma-separated sizes for --grow.")] = "64,128,256,512,1024",
    plot: Annotated[
        Path | None, Option(metavar="FILE.svg", help="Write a log-log plot of --grow to this file.")
    ] = None,
    suite: Annotated[bool, switch("--suite", "Measure the built-in losses against their performance goals.")] = (False),
    json_: Json = False,
) -> None:
    """Measure the cost of losses, interleaved in one process.

    Reports forward and backward time, peak memory, operators and host synchronizations.

    lossbench bench triplet --against pml,naive -b 256

    lossbench bench triplet --against pml --grow B --plot growth.svg
    """
    axis = _checked(grow, plot, suite, losses or [])
    import torch

    from ..bench import Workload

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        if suite:
            _suite(seconds, device, json_)
            return
        workload = Workload(batch_size, classes, dim, device, learn_state)
        peers = [part.strip() for part in against.split(",") if part.strip()]
        if axis:
            _growth(losses or [], peers, workload, axis, _sizes(sizes, axis), seconds, plot, json_)
        else:
            _rows(losses or [], peers, workload, seconds, json_)
    finally:
        torch.set_num_threads(before)


def _checked(grow: str, plot: Path | None, suite: bool, losses: Sequence[str]) -> str:
    axis = grow.strip().upper()
    if axis not in ("", "B", "C", "D"):
        raise ConfigError(f"--grow must be B, C or D, got {grow!r}")
    if plot is not None and not axis:
        raise ConfigError("--plot draws growth: give --grow B, C or D as well")
    if plot is not None and len(losses) != 1:
        raise ConfigError("--plot draws one loss and its peers: name one loss")
    if plot is not None and not plot.parent.is_dir():
        raise ConfigError(f"--plot {plot}: there is no directory {plot.parent}")
    if suite and (losses or axis):
        raise ConfigError("--suite has its own losses and sizes: give it alone")
    return axis


def _sizes(text: str, axis: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--sizes must be comma-separated numbers, such as 64,128,256, got {text!r}")
    least = 2 if axis == "C" else 1
    found = sorted({int(part) for part in parts})
    if found[0] < least:
        raise ConfigError(f"--sizes of {axis} must be at least {least}, got {found[0]}")
    return found


def _named(losses: Sequence[str]) -> list[str]:
    from ..losses import BUILT_INS

    return list(losses) or [built_in.name for built_in in BUILT_INS]


def _groups(losses: Sequence[str], peers: Sequence[str]) -> list[list[Any]]:
    """Each loss with its peers; everything is resolved before anything is measured."""
    from ..bench import contender, peers_of

    return [[contender(name), *(p for peer in peers for p in peers_of(name, peer))] for name in _named(losses)]


def _rows(losses: Sequence[str], peers: Sequence[str], workload: Workload, seconds: float, json_: bool) -> None:
    from ..bench import measure
    from .terminal import Console
    from .watch_run import working

    found = []
    for group in _groups(losses, peers):
        with working(f"measuring {group[0].name}"):
            found.append(measure(group, workload, seconds=seconds))
    if json_:
        _print_json({"workload": asdict(workload), "rows": [asdict(row) for rows in found for row in rows]})
        return
    out = Console()
    out.print(cost_table(found, workload))
    print_errors(out, [row for rows in found for row in rows])


def _growth(
    losses: Sequence[str],
    peers: Sequence[str],
    workload: Workload,
    axis: str,
    sizes: list[int],
    seconds: float,
    plot: Path | None,
    json_: bool,
) -> None:
    from ..bench import measure_growth
    from .terminal import Console
    from .watch_run import working

    found = []
    console = Console(stderr=True)
    for group in _groups(losses, peers):
        with working(f"measuring {group[0].name}"):
            found.append(measure_growth(group, workload, axis, sizes, seconds=seconds))
    if plot is not None:
        from ..bench.plot import plot_growth

        others = {"B": "C = {0.classes}, D = {0.dim}", "C": "B = {0.batch}, D = {0.dim}"}
        rest = others.get(axis, "B = {0.batch}, C = {0.classes}").format(workload)
        plot_growth(found[0], plot, f"{found[0][0].name}: growth in {axis} ({rest})")
        console.print(f"written to {plot}", markup=False, highlight=False)
    if json_:
        _print_json({"workload": asdict(workload), "growth": [asdict(growth) for each in found for growth in each]})
        return
    out = Console()
    out.print(growth_table([growth for each in found for growth in each], axis, sizes))
    print_errors(out, [row for each in found for growth in each for row in growth.rows])


def _suite(seconds: float, device: str, json_: bool) -> None:
    from rich.text import Text

    from ..bench import Workload
    from ..bench.suite import run_suite
    from .terminal import Console

    Workload(1, 2, 1, device)  # refuses a device that does not exist
    console = Console(stderr=True)
    lines: list[Line] = []
    with console.status("", spinner="line") as status:
        tell = status.update if console.is_terminal else partial(console.print, soft_wrap=True)
        lines += run_suite(seconds, lambda what: tell(Text(what)), device)
    if json_:
        _print_json({"lines": [line.content() for line in lines]})
        return
    Console().print(suite_table(lines))


def _print_json(content: dict[str, Any]) -> None:
    from ..machine.facts import machine

    print_json({"machine": machine(), **content}, indent=1)
