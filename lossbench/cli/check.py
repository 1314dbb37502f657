"""`lossbench check`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ..errors import UsageError
from .check_losses import chosen_losses, effort_of, judge_losses
from .output import print_json
from .parameters import Json, switch
from .terminal import print_plain

if TYPE_CHECKING:
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
    chosen, broken = chosen_losses(names or [], all_, installed)
    from ..testing.certificate import Asked
    from ..testing.resolve import parse_traits

    told = tuple(filter(None, (part.strip() for part in (traits or "").split(","))))
    parse_traits(told)
    if all_ and (takes is not None or form is not None):
        raise UsageError("--takes and --form are for one loss without a spec; they do not go with --all")
    asked = [Asked(name, takes, told, form) for name in chosen]
    if suggest_traits:
        _print_traits(asked, effort_of(examples, seed, deep, compile_))
        return
    if certificate is not None:
        if len(asked) > 1 or law:
            raise UsageError("--certificate is for one loss and all laws; name one, without --law")
        if not certificate.parent.is_dir():
            raise UsageError(f"--certificate {certificate}: there is no directory {certificate.parent}")
    unfit = dict(broken) if all_ or json_ else None
    results = judge_losses(asked, law or [], effort_of(examples, seed, deep, compile_), certificate, unfit)
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
