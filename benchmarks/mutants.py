"""How many seeded bugs of the five losses the laws find.

    python benchmarks/mutants.py [--only TEXT] [--markdown FILE] [--all-laws] [--without LAW]

Each mutant is one edit (`mutants.txt`) of a copy of the package; the losses that it touches are judged in a process of
their own until a law fails. The package without an edit is judged first: a law that fails there proves nothing.
Exit 1 when fewer than 95 % are killed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import hypothesis  # noqa: F401  # so that the processes below, which are forks, need not import it
import torch
from mutations import ALL, Mutant, read_mutants
from rich.console import Console
from rich.table import Table

PACKAGE = Path(__file__).parents[1] / "lossbench"
REQUIRED = 0.95
CONTROL = Mutant("no edit", "__init__.py", "__version__ =", "__version__ =", ALL)


@dataclass(frozen=True)
class Verdict:
    """What the laws say of one mutant.

    Attributes:
        mutant: the edit.
        killers: numbered laws that failed, in the order in which they did, each once.
        first: the loss, and the message of its first law that failed.
        seconds: it took.
        error: why it could not be judged, if so.
    """

    mutant: Mutant
    killers: tuple[str, ...] = ()
    first: str = ""
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Options:
    """Which laws judge, how hard, and whether to go on after the first that fails."""

    seed: int = 0
    without: tuple[str, ...] = ()
    all_laws: bool = False
    compile: bool = False


def judge_mutants(mutants: Sequence[Mutant], options: Options, jobs: int = 1) -> Iterator[Verdict]:
    """Verdicts as they come, `jobs` mutants at a time.

    Raises:
        ValueError: an edit that does not fit; found before anything is judged.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, mutant in enumerate(mutants):
            shutil.copytree(PACKAGE, folder / str(number) / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
            mutant.apply(folder / str(number) / PACKAGE.name)
        yield from _in_forks(
            [
                (mutant, lambda m=mutant, n=number: _judge(m, folder / str(n), options))
                for number, mutant in enumerate(mutants)
            ],  # type: ignore[misc]
            jobs,
        )


def _in_forks(tasks: list[tuple[Mutant, Callable[[], Verdict]]], jobs: int) -> Iterator[Verdict]:
    forks = multiprocessing.get_context("fork")
    running: dict[Connection, Mutant] = {}
    while tasks or running:
        while tasks and len(running) < jobs:
            mutant, task = tasks.pop(0)
            here, there = forks.Pipe(duplex=False)
            forks.Process(target=lambda end=there, work=task: end.send(work())).start()  # type: ignore[misc]
            there.close()
            running[here] = mutant
        for ready in wait(list(running)):
            assert isinstance(ready, Connection)
            mutant = running.pop(ready)
            try:
                yield ready.recv()
            except EOFError:
                yield Verdict(mutant, error="its process ended without a verdict")


def _judge(mutant: Mutant, folder: Path, options: Options) -> Verdict:
    began = time.perf_counter()
    sys.path.insert(0, str(folder))
    tempfile.tempdir = str(folder)
    torch.set_num_threads(1)
    with chdir(folder):
        import lossbench
        from lossbench.testing import LAWS, Effort, judge_all, subjects

        assert Path(lossbench.__file__).is_relative_to(folder), f"{lossbench.__file__} is not the copy"
        laws = [law for law in LAWS if not {law.name, str(law.number)} & set(options.without)]
        effort = Effort(seed=options.seed, compile=options.compile)
        killers, first = {}, ""
        for name in mutant.losses:
            for result in judge_all(subjects(lossbench.loss_info(name)), effort, laws):
                if result.status == "failed":
                    killers[f"{result.number} {result.law}"] = None
                    first = first or f"{result.loss}: {result.message}"
                    if not options.all_laws:
                        break
            if killers and not options.all_laws:
                break
    return Verdict(mutant, tuple(killers), first, time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="TEXT", help="mutants whose phrase contains it; repeatable")
    parser.add_argument("--all-laws", action="store_true", help="list every law that kills, not the first")
    parser.add_argument("--without", action="append", default=[], metavar="LAW", help="leave a law out; repeatable")
    parser.add_argument("--compile", action="store_true", help="judge by the law that compiles too")
    parser.add_argument("--seed", type=int, default=0, help="of the search for failing batches")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    given = parser.parse_args()
    chosen = [mutant for mutant in read_mutants() if any(text in str(mutant) for text in given.only or [""])]
    if not chosen:
        parser.error(f"no mutant contains {' or '.join(given.only)}")
    options = Options(given.seed, tuple(given.without), given.all_laws, given.compile)
    progress = Console(stderr=True)
    verdicts = {}
    for verdict in judge_mutants([CONTROL, *chosen], options, given.jobs):
        verdicts[verdict.mutant] = verdict
        progress.print(f"{verdict.seconds:5.1f} s  {verdict.mutant}: {_outcome(verdict)}", markup=False)
    control, *judged = [verdicts[mutant] for mutant in (CONTROL, *chosen)]
    if control.killers or control.error:
        sys.exit(f"the package fails without an edit, which makes the score void: {control.first or control.error}")
    if broken := [f"{verdict.mutant}: {verdict.error}" for verdict in judged if verdict.error]:
        sys.exit("could not be judged:\n" + "\n".join(broken))
    share = sum(bool(verdict.killers) for verdict in judged) / len(judged)
    score = f"{sum(bool(v.killers) for v in judged)} of {len(judged)} mutants killed, {100 * share:.1f} %"
    Console().print(_table(judged), score)
    if given.markdown:
        given.markdown.write_text(_markdown(judged, score))
    sys.exit(share < REQUIRED)


def _outcome(verdict: Verdict) -> str:
    return verdict.error or ", ".join(verdict.killers) or "SURVIVED"


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table("mutant", "killed by")
    for verdict in verdicts:
        table.add_row(str(verdict.mutant), _outcome(verdict))
    return table


def _markdown(verdicts: Sequence[Verdict], score: str) -> str:
    rows = [f"| {verdict.mutant} | {_outcome(verdict)} |" for verdict in verdicts]
    return "\n".join([score, "", "| mutant | killed by |", "|-|-|", *rows, ""])


if __name__ == "__main__":
    main()
