"""Count the planted bugs of the five losses that the laws detect.

    python benchmarks/mutants.py [--only TEXT] [--markdown FILE] [--all-laws] [--without LAW]

Each mutant is one edit (`mutants.txt`) of a copy of the package; the affected losses are tested in a separate process
until a law fails. The laws that a loss without a loop over scalars has, too, are tested first, in all configurations.
The package without an edit is tested before, because a law that fails there proves nothing.
Exits with 1 if fewer than 95 % are killed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis  # noqa: F401  # imported before the processes below are forked
import torch
from mutations import ALL, LIST, Mutant, read_mutants
from rich.console import Console

if TYPE_CHECKING:
    from lossbench.report.terminal.table import TerminalTable

PACKAGE = Path(__file__).parents[1] / "lossbench"
REQUIRED = 0.95
LOOP = "naive-loop"


@dataclass(frozen=True)
class Verdict:
    """The result of the laws for one mutant.

    Attributes:
        mutant: the edit.
        killers: failed laws in order, each once.
        first: the loss, and the message of the first failed law.
        seconds: duration.
        error: reason why it could not be tested, if any.
    """

    mutant: Mutant
    killers: tuple[str, ...] = ()
    first: str = ""
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Options:
    """The laws to test, their effort, and whether to continue after the first failed law."""

    seed: int = 0
    examples: int = 25
    without: tuple[str, ...] = ()
    all_laws: bool = False
    compile: bool = False


def judge_mutants(mutants: Sequence[Mutant], options: Options, jobs: int = 1) -> Iterator[Verdict]:
    """Yield verdicts as they are ready, with `jobs` parallel mutants.

    Raises:
        ValueError: an edit does not apply; checked before any test.
    """
    with tempfile.TemporaryDirectory() as name:
        folders = {mutant: Path(name) / str(number) for number, mutant in enumerate(mutants)}
        for mutant, folder in folders.items():
            shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
            mutant.apply(folder / PACKAGE.name)
        waiting, running = list(mutants), dict[Connection, Mutant]()
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant = waiting.pop(0)
                running[_start(mutant, folders[mutant], options)] = mutant
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                mutant = running.pop(pipe)
                try:
                    yield pipe.recv()
                except EOFError:
                    yield Verdict(mutant, error="its process ended without a verdict")


def _start(mutant: Mutant, folder: Path, options: Options) -> Connection:
    """Start a fork, which has torch and hypothesis imported, and return the pipe for its verdict."""
    forks = multiprocessing.get_context("fork")
    here, there = forks.Pipe(duplex=False)

    def work() -> None:
        try:
            there.send(_judge(mutant, folder, options))
        except Exception as error:
            there.send(Verdict(mutant, error=f"{type(error).__name__}: {error}"))

    forks.Process(target=work).start()
    there.close()
    return here


def _judge(mutant: Mutant, folder: Path, options: Options) -> Verdict:
    began = time.perf_counter()
    sys.path.insert(0, str(folder))
    tempfile.tempdir = str(folder)
    torch.set_num_threads(1)
    import lossbench
    from lossbench.testing import LAWS, Effort, configurations, find_law, judge_all

    assert Path(lossbench.__file__).is_relative_to(folder), f"{lossbench.__file__} is not the copy"
    left_out = [find_law(name) for name in options.without]
    laws = [law for law in LAWS if law not in left_out]
    loops = [law for law in laws if law.name == LOOP]
    effort = Effort(examples=options.examples, seed=options.seed, compile=options.compile)
    killers, first = dict[str, None](), ""
    every = [each for name in mutant.losses for each in configurations(lossbench.loss_info(name))]
    for chosen in ([law for law in laws if law not in loops], loops):
        for result in (result for each in every for result in judge_all([each], effort, chosen)):
            if result.status == "failed":
                killers[result.law] = None
                first = first or f"{result.loss}: {result.message}"
            if killers and not options.all_laws:
                return Verdict(mutant, tuple(killers), first, time.perf_counter() - began)
    return Verdict(mutant, tuple(killers), first, time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="only mutants whose name contains this text; repeatable"
    )
    parser.add_argument("--all-laws", action="store_true", help="list all laws that kill a mutant, not only the first")
    parser.add_argument("--without", action="append", default=[], metavar="LAW", help="exclude a law; repeatable")
    parser.add_argument("--compile", action="store_true", help="include the law that compiles")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search for failing batches")
    parser.add_argument("--examples", type=int, default=25, help="batches per law, as in lossbench check")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel mutants")
    parser.add_argument("--list", type=Path, default=LIST, metavar="FILE", help="list to use instead of mutants.txt")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to this file")
    given = parser.parse_args()
    try:
        listed = read_mutants(given.list)
        chosen = [mutant for mutant in listed if any(text in str(mutant) for text in given.only or [""])]
        if not chosen:
            sys.exit(f"no mutant's name contains {' or '.join(given.only)}")
        options = Options(given.seed, given.examples, tuple(given.without), given.all_laws, given.compile)
        judged = _judged(chosen, options, given.jobs)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    killed = sum(bool(verdict.killers) for verdict in judged)
    without_loops = sum(bool({*verdict.killers} - {LOOP}) for verdict in judged)
    score = f"{killed} of {len(judged)} mutants killed, {100 * killed / len(judged):.1f} %"
    score += f"; {without_loops} by other laws than {LOOP}"
    Console().print(_table(judged), score)
    if given.markdown:
        given.markdown.write_text(_markdown(judged, score))
    sys.exit(killed < REQUIRED * len(judged))


def _judged(mutants: Sequence[Mutant], options: Options, jobs: int) -> list[Verdict]:
    """Return the verdicts in the order of the mutants; exit if the control fails or a mutant has no verdict."""
    progress = Console(stderr=True)
    touched = tuple(name for name in ALL if any(name in mutant.losses for mutant in mutants))
    control = Mutant("no edit", "__init__.py", "__version__ =", "__version__ =", touched)
    verdicts = {}
    for verdict in judge_mutants([control, *mutants], options, jobs):
        verdicts[verdict.mutant] = verdict
        progress.print(f"{verdict.seconds:5.1f} s  {verdict.mutant}: {_outcome(verdict)}", markup=False)
    if errors := [f"{verdict.mutant}: {verdict.error}" for verdict in verdicts.values() if verdict.error]:
        sys.exit("could not be tested:\n" + "\n".join(errors))
    if verdicts[control].killers:
        sys.exit(f"a law fails without an edit, which invalidates the score: {verdicts[control].first}")
    return [verdicts[mutant] for mutant in mutants]


def _outcome(verdict: Verdict) -> str:
    return verdict.error or ", ".join(verdict.killers) or "SURVIVED"


def _table(verdicts: Sequence[Verdict]) -> TerminalTable:
    # Imported after the forks, each of which must import its own copy of the package.
    from lossbench.report.tables.table import Table
    from lossbench.report.terminal.table import TerminalTable

    rows = tuple((str(verdict.mutant), _outcome(verdict)) for verdict in verdicts)
    return TerminalTable(Table("mutants", "", ("mutant", "killed by"), rows, text=frozenset({"killed by"})))


def _markdown(verdicts: Sequence[Verdict], score: str) -> str:
    rows = [f"| {verdict.mutant} | {_outcome(verdict)} |" for verdict in verdicts]
    command = f"    python {' '.join(['benchmarks/mutants.py', *sys.argv[1:]])}"
    head = ["# Planted bugs that the laws detect", "", command, "", f"{score}; torch {torch.__version__}.", ""]
    return "\n".join([*head, "| mutant | killed by |", "|-|-|", *rows, ""])


if __name__ == "__main__":
    main()
