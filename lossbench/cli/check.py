"""`lossbench check` and `lossbench verify`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ..errors import FormulaError, UnknownLossError, UsageError
from .output import print_json
from .parameters import Json, switch
from .terminal import print_plain

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..testing import Effort, Result
    from ..testing.certificate import Asked


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
        str | None,
        Option(metavar="INPUT", help="Input of a loss without a spec: logits, embeddings or cosine-logits."),
    ] = None,
    form: Annotated[
        str | None,
        Option(metavar="FORM", help="Form of the batch for a loss without a spec: labels, one-hot, triplets or views."),
    ] = None,
    traits: Annotated[
        str | None,
        Option(metavar="TRAITS", help="Comma-separated traits of the loss, such as batch-coupled,scale-invariant."),
    ] = None,
    law: Annotated[
        list[str] | None,
        Option(metavar="LAW", help="Law or group of laws to test, such as Finiteness (default: all); repeatable."),
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
    suggest_traits: Annotated[
        bool, switch("--suggest-traits", "Print the traits whose laws the loss obeys, as a set to declare, and stop.")
    ] = False,
    json_: Json = False,
) -> None:
    """Test losses against the laws of loss functions. Exits with 1 if a law is violated, 3 if the kit itself failed.

    lossbench check weighted-cluster

    lossbench check pytorch_metric_learning.losses:TripletMarginLoss
    """
    from ..testing.certificate import Asked
    from ..testing.resolve import parse_traits

    chosen, broken = _chosen(names or [], all_, installed)
    told = tuple(filter(None, (part.strip() for part in (traits or "").split(","))))
    parse_traits(told)
    if all_ and (takes is not None or form is not None):
        raise UsageError("--takes and --form are for one loss without a spec; they do not go with --all")
    asked = [Asked(name, takes, told, form) for name in chosen]
    if suggest_traits:
        _print_traits(asked, _effort(examples, seed, deep, compile_))
        return
    if certificate is not None:
        if len(asked) > 1 or law:
            raise UsageError("--certificate is for one loss and all laws; name one, without --law")
        if not certificate.parent.is_dir():
            raise UsageError(f"--certificate {certificate}: there is no directory {certificate.parent}")
    unfit = dict(broken) if all_ or json_ else None
    results = _judge(asked, law or [], _effort(examples, seed, deep, compile_), certificate, unfit)
    if json_:
        print_json([{**asdict(r), "seconds": round(r.seconds, 3)} for r in results], indent=1)
    else:
        from .check_output import print_results
        from .terminal import Console

        print_results(Console(soft_wrap=False, emoji=False), results)
    raise typer.Exit(exit_code(results))


def _print_traits(asked: Sequence[Asked], effort: Effort) -> None:
    """Print for each loss the set of the traits that hold in all of its configurations."""
    import torch

    from ..testing.declarations import traits_that_hold

    torch.set_num_threads(1)
    for each in asked:
        every = [frozenset(traits_that_hold(configuration, effort)) for configuration in each.configurations()]
        names = sorted(trait.name for trait in frozenset.intersection(*every))
        print_plain(
            f"# {each.target}: holds in {effort.examples} batches per law; declare what follows from the definition"
        )
        print_plain(f"traits = frozenset({{{', '.join(f'Trait.{name}' for name in names)}}})")


def exit_code(results: Iterable[Result]) -> int:
    """Return 3 if the kit itself failed, 1 if a law is broken, and 0 otherwise."""
    found = list(results)
    if any(result.kit_failed for result in found):
        return 3
    return 1 if any(result.status == "failed" for result in found) else 0


def verify(
    file: Annotated[Path, Argument(metavar="FILE", help="Certificate written by lossbench check --certificate.")],
    loss: Annotated[
        str | None,
        Argument(
            metavar="[LOSS]", help="The certificate's loss, repeated: needed for a module or a file, which it runs."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Repeat the tests of a certificate in the same way. Exits with 1 if a result differs."""
    from rich.text import Text

    from ..testing.certificate import read_certificate
    from ..testing.certificate import verify as judge_again
    from .terminal import Console

    content = read_certificate(file)
    with _progress() as progress:
        task = progress.add_task(str(content["target"]), total=len(content["results"]) or None)
        found = judge_again(content, lambda result: progress.advance(task), loss)
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
    """What is to be judged, and of installed losses that cannot be: name -> why."""
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
    from ..testing.effort import DEEP_EXAMPLES, NORMAL_EXAMPLES, Effort

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
        unfit: losses that cannot be judged -> why. Not None: others that turn out so get a row, too, and end nothing.
    """
    from dataclasses import replace

    import torch

    from ..testing import LAWS, find_laws, judge_all
    from ..testing.certificate import certificate as certify

    torch.set_num_threads(1)  # the batches are tiny
    chosen = [law for name in laws for law in find_laws(name)] or LAWS
    losses = []
    for each in asked:
        try:
            losses.append((each, each.configurations()))
        except UsageError as error:
            if unfit is None or isinstance(error, UnknownLossError | FormulaError):
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
    """The row of a loss that cannot be judged; it stands for all laws."""
    from ..testing import Result
    from ..testing.results import CAN_BE_JUDGED

    return Result(
        loss=name, number=0, law=CAN_BE_JUDGED, group="", status="failed", message=reason, kind="unclear refusal"
    )


def _write(path: Path, text: str) -> None:
    from ..files import write_text

    write_text(path, text)


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from .terminal import Console

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
