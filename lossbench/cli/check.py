"""`lossbench check` and `lossbench verify`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ..errors import UsageError
from .output import print_json
from .parameters import Json, switch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from ..testing import Effort, Law, Result
    from ..testing.certificate import Asked

_CAN_BE_JUDGED = "can-be-judged"


def check(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="LOSS",
            help="Names from lossbench list, module:object or file.py:object, with hyper-parameters in parentheses.",
        ),
    ] = None,
    all_: Annotated[bool, switch("--all", "Check all built-in losses.")] = False,
    installed: Annotated[
        bool, switch("--installed", "With --all, also check the losses of installed plugins.")
    ] = False,
    takes: Annotated[
        str | None, Option(metavar="INPUT", help="Input of a loss without a spec: logits or embeddings.")
    ] = None,
    traits: Annotated[
        str | None,
        Option(metavar="TRAITS", help="Comma-separated traits of the loss, such as batch-coupled,scale-invariant."),
    ] = None,
    law: Annotated[
        list[str] | None, Option(metavar="LAW", help="Law to test, by name or number (default: all); repeatable.")
    ] = None,
    examples: Annotated[
        int | None, Option(metavar="N", help="Number of random batches per law and configuration.", min=3)
    ] = None,
    seed: Annotated[int, Option(metavar="N", help="Random seed of the search.", min=0)] = 0,
    deep: Annotated[
        bool,
        switch("--deep", "Search longer: 10,000 batches per law, code generation, and traits that no longer hold."),
    ] = False,
    compile_: Annotated[
        bool, Option("--compile/--no-compile", metavar="", help="Test the law that compiles the loss.")
    ] = True,
    certificate: Annotated[
        Path | None, Option(metavar="FILE", help="Write a certificate of the results to this file.")
    ] = None,
    json_: Json = False,
) -> None:
    """Test losses against the laws of loss functions. Exits with 1 if a law is violated.

    lossbench check weighted-cluster

    lossbench check pytorch_metric_learning.losses:TripletMarginLoss
    """
    from ..testing.certificate import Asked
    from ..testing.resolve import parse_traits

    chosen, broken = _chosen(names or [], all_, installed)
    told = tuple(filter(None, (part.strip() for part in (traits or "").split(","))))
    parse_traits(told)
    if all_ and takes is not None:
        raise UsageError("--takes is for one loss without a spec; it does not go with --all")
    asked = [Asked(name, takes, told) for name in chosen]
    if certificate is not None:
        if len(asked) > 1 or law:
            raise UsageError("--certificate is for one loss and all laws; name one, without --law")
        if not certificate.parent.is_dir():
            raise UsageError(f"--certificate {certificate}: there is no directory {certificate.parent}")
    unfit = dict(broken) if all_ else None
    results = _judge(asked, law or [], _effort(examples, seed, deep, compile_), certificate, unfit)
    if json_:
        print_json([{**asdict(r), "seconds": round(r.seconds, 3)} for r in results], indent=1)
    else:
        from rich.console import Console

        _print(Console(soft_wrap=False), results)
    raise typer.Exit(1 if any(result.status == "failed" for result in results) else 0)


def verify(
    file: Annotated[Path, Argument(metavar="FILE", help="Certificate written by lossbench check --certificate.")],
    json_: Json = False,
) -> None:
    """Repeat the tests of a certificate in the same way. Exits with 1 if a result differs."""
    from rich.console import Console
    from rich.text import Text

    from ..testing.certificate import read_certificate
    from ..testing.certificate import verify as judge_again

    content = read_certificate(file)
    with _progress() as progress:
        task = progress.add_task(str(content["target"]), total=len(content["results"]) or None)
        found = judge_again(content, lambda result: progress.advance(task))
    if json_:
        rows = {"verified": not found.changed, "changed": found.changed, "notes": found.notes}
        print_json(rows, indent=1)
    else:
        console = Console()
        console.print(Text(str(content["quote"])))
        for note in found.notes:
            console.print(Text("note: ", style="yellow") + Text(note))
        for line in found.changed:
            console.print(Text("differs: ", style="red") + Text(line))
        if not found.changed:
            console.print(Text(f"verified: all {len(found.results)} results are the same", style="green"))
    raise typer.Exit(1 if found.changed else 0)


def _chosen(names: Sequence[str], all_: bool, installed: bool) -> tuple[list[str], dict[str, str]]:
    """What is to be judged, and of installed losses that can't be: name -> why."""
    from ..registry import loss_entries

    if installed and not all_:
        raise UsageError("--installed goes with --all")
    if all_ and names:
        raise UsageError("name losses, or give --all, not both")
    if all_:
        rows = [row for row in loss_entries(load=installed) if installed or row.status == "built-in"]
        counts = Counter(row.name for row in rows)
        named = [
            (row.name if counts[row.name] == 1 or row.status == "built-in" else f"{row.origin}/{row.name}", row)
            for row in rows
        ]
        broken = {name: row.reason or "" for name, row in named if row.status == "broken"}
        return [name for name, row in named if name not in broken], broken
    if not names:
        raise UsageError("which loss? Name one, as in: lossbench check weighted-cluster; or give --all")
    return list(names), {}


def _effort(examples: int | None, seed: int, deep: bool, compile_: bool) -> Effort:
    from ..testing.judge import DEEP_EXAMPLES, NORMAL_EXAMPLES, Effort

    default = DEEP_EXAMPLES if deep else NORMAL_EXAMPLES
    return Effort(examples=examples or default, seed=seed, deep=deep, compile=compile_)


def _judge(
    asked: Sequence[Asked],
    laws: Sequence[str],
    effort: Effort,
    certificate: Path | None,
    unfit: dict[str, str] | None = None,
) -> list[Result]:
    """Resolves everything first, so that a bad name costs no time; then judges, with progress on stderr.

    Args:
        asked: what to judge.
        laws: these only; none for all.
        effort: how hard to look.
        certificate: where to write one.
        unfit: losses that can't be judged -> why. Not None: others that turn out so get a row, too, and end nothing.
    """
    from dataclasses import replace

    import torch

    from ..testing import LAWS, find_law, judge_all
    from ..testing.certificate import certificate as certify

    torch.set_num_threads(1)  # the batches are tiny
    chosen = [find_law(name) for name in laws] or LAWS
    losses = []
    for each in asked:
        try:
            losses.append((each, each.configurations()))
        except UsageError as error:
            if unfit is None:
                raise
            unfit[each.target] = str(error)
    results: list[Result] = []
    with _progress() as progress:
        for each, configurations in losses:
            shared = replace(effort, examples=max(3, effort.examples // len(configurations))) if effort.deep else effort
            task = progress.add_task(each.target, total=len(configurations) * len(chosen))
            found = []
            for result in judge_all(configurations, shared, chosen):
                found.append(result)
                progress.update(task, advance=1, description=f"{each.target}: {result.law}")
            if certificate is not None:
                content = certify(each, configurations, shared, found)
                _write(certificate, json.dumps(content, indent=1) + "\n")
                progress.console.print(f"{content['quote']}\nwritten to {certificate}", markup=False, highlight=False)
            results += found
    return results + [_unfit(name, reason) for name, reason in (unfit or {}).items()]


def _unfit(name: str, reason: str) -> Result:
    """The row of a loss that can't be judged; it stands for all laws."""
    from ..testing import Result

    return Result(loss=name, number=0, law=_CAN_BE_JUDGED, status="failed", message=reason)


def _write(path: Path, text: str) -> None:
    from ..files import write_text

    write_text(path, text)


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print(console: Console, results: Iterable[Result]) -> None:
    """A table law x result for each loss, then what was broken."""
    from rich.text import Text

    from ..testing import find_law

    by_loss: dict[str, list[Result]] = {}
    for result in results:
        by_loss.setdefault(_bare(result.loss), []).append(result)
    for name, found in by_loss.items():
        if found[0].law == _CAN_BE_JUDGED:
            console.print(Text(f"{name} can't be judged: {found[0].message}\n", style="bold red"))
            continue
        laws = {result.law: find_law(result.law) for result in found}
        console.print(_table(name, found, laws))
        for law in laws.values():
            broken = [result for result in found if result.law == law.name and result.status == "failed"]
            if broken:
                console.print(_explained(law, broken))
        console.print(_summary(name, found))


def _bare(configuration: str) -> str:
    return configuration.removesuffix(", started").partition("(")[0]


def _table(name: str, results: Sequence[Result], laws: dict[str, Law]) -> Any:
    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable

    rows = []
    for law in laws.values():
        found = [result for result in results if result.law == law.name]
        counts = Counter(result.status for result in found)
        parts = [f"{count} {status}" if len(found) > 1 else status for status, count in sorted(counts.items())]
        reasons = Counter(result.message for result in found if result.status == "skipped")
        if reasons and len(counts) == 1:
            parts.append(next(iter(reasons)))
        rows.append((f"{law.number:>2} {law.name}", ", ".join(parts)))
    styles = {"passed": "green", "failed": "red", "skipped": "dim", "xfailed": "yellow"}
    return TerminalTable(Table("laws", name, ("law", "result"), tuple(rows), text=frozenset({"result"})), styles)


def _explained(law: Law, broken: Sequence[Result]) -> Any:
    """One law that was broken: the statement, the finding, the smallest batch, what to do."""
    from rich.padding import Padding
    from rich.text import Text

    first = min(broken, key=lambda result: len(result.counterexample or ""))
    where = f"{first.loss}" + (f" and {len(broken) - 1} more configurations" if len(broken) > 1 else "")
    text = Text.assemble(
        (f"{law.number} {law.name}", "bold red"),
        f": {where}\n",
        ("found   ", "bold"), f"{first.message}\n",
        ("law     ", "bold"), f"{law.statement}\n",
    )  # fmt: skip
    if first.counterexample:
        text.append("batch   ", style="bold").append(f"{first.counterexample}\n")
    text.append("remedy  ", style="bold").append(law.remedy)
    return Padding(text, (1, 0, 0, 0))


def _summary(name: str, results: Sequence[Result]) -> Any:
    from rich.text import Text

    failed = {result.law for result in results if result.status == "failed"}
    held = {result.law for result in results if result.status == "passed"} - failed
    configurations = len({result.loss for result in results})
    seconds = sum(result.seconds for result in results)
    batches = sum(result.examples for result in results)
    verdict = f"breaks {len(failed)} laws and obeys {len(held)}" if failed else f"obeys all {len(held)} laws that apply"
    plural = "s" if configurations > 1 else ""
    return Text(
        f"\n{name} {verdict}: {configurations} configuration{plural}, {batches:,} batches, {seconds:.0f} s\n",
        style="bold red" if failed else "bold green",
    )
