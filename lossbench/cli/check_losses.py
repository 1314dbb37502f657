"""Which losses `lossbench check` judges, and judging them with progress on stderr."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..announce import Announcement
from ..errors import FormulaError, UnknownLossError, UsageError
from ..expression import is_object_path, parse_formula
from ..registry import check_names
from ..registry.objects import check_object_file

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..testing import Effort, Result
    from ..testing.certificate import Asked


def chosen_losses(names: Sequence[str], all_: bool, installed: bool) -> tuple[list[str], dict[str, str]]:
    """Return the losses to judge, and the installed ones that cannot be judged: name -> reason."""
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
    for name in names:
        _check_target(name)
    return list(names), {}


def _check_target(name: str) -> None:
    """Check that a loss exists, before torch is imported."""
    bare = name.partition("(")[0].strip()
    if is_object_path(bare):
        check_object_file(bare)
    elif bare.endswith(".py"):
        check_object_file(f"{bare}:")
    else:
        check_names(parse_formula(name))


def effort_of(examples: int | None, seed: int, deep: bool, compile_: bool) -> Effort:
    from ..testing.effort import DEEP_EXAMPLES, NORMAL_EXAMPLES, Effort

    default = DEEP_EXAMPLES if deep else NORMAL_EXAMPLES
    return Effort(examples=examples or default, seed=seed, deep=deep, compile=compile_)


def judge_losses(
    asked: Sequence[Asked],
    laws: Sequence[str],
    effort: Effort,
    certificate: Path | None,
    unfit: dict[str, str] | None = None,
) -> list[Result]:
    """Resolve all losses first, so that a bad name costs no time; then judge them, with progress on stderr.

    Args:
        asked: what to judge.
        laws: these only; none for all.
        effort: how hard to look.
        certificate: where to write one.
        unfit: losses that cannot be judged -> why. Not None: others that turn out so get a row, too, and end nothing.
    """
    from dataclasses import replace

    import torch

    from ..files import write_text
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
    with law_progress() as progress:
        for each, configurations in losses:
            shared = replace(effort, examples=max(3, effort.examples // len(configurations))) if effort.deep else effort
            task = progress.add_task(each.target, total=len(configurations) * len(chosen))
            found = []
            tell = telling(progress, each.target)
            for result in judge_all(configurations, shared, chosen):
                found.append(result)
                progress.update(task, advance=1, description=f"{each.target}: {result.law}")
                tell(len(found), len(configurations) * len(chosen))
            if certificate is not None:
                content = certify(each, configurations, shared, found)
                write_text(certificate, json.dumps(content, indent=1) + "\n")
                progress.console.print(f"{content['quote']}\nwritten to {certificate}", markup=False, highlight=False)
            results += found
    return results + [_unfit(name, reason) for name, reason in (unfit or {}).items()]


def _unfit(name: str, reason: str) -> Result:
    """Return the row of a loss that cannot be judged; it stands for all laws."""
    from ..testing import Result
    from ..testing.results import CAN_BE_JUDGED

    return Result(
        loss=name, number=0, law=CAN_BE_JUDGED, group="", status="failed", message=reason, kind="unclear refusal"
    )


def telling(progress: Progress, target: str) -> Callable[[int, int | None], None]:
    """Return a function that says now and again how many laws were judged, where no bar shows it."""
    if not progress.disable:
        return lambda done, total: None
    return Announcement(lambda text: progress.console.print(text, markup=False, soft_wrap=True), f"judging {target}")


def law_progress() -> Progress:
    """Return a bar on stderr that counts laws; it is disabled elsewhere than on a terminal."""
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
