"""Carry out an author's way, from a formula on paper to a package, with a time for each step and a count of lines.

    python benchmarks/authors_way.py FOLDER                       (about a minute of CPU time)

The idea is one file. It is checked, trained, compared with softmax over two seeds and timed as FILE.py:NAME; then
`lossbench new` writes a package around it, which passes its own tests. Each line of the file and of the package that
the author writes counts, and each command; the lines of the formula, `per_sample`, do not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest

from lossbench.cli import main as lossbench_main
from lossbench.errors import LossbenchError
from lossbench.scaffold import write_package

IDEA = '''import torch.nn.functional as F
from lossbench import LogitLoss


class Focal(LogitLoss):
    """Focal loss, (1 - p)^gamma times cross-entropy."""

    def __init__(self, context, *, gamma: float = 2.0):
        super().__init__(context)
        self.gamma = gamma

    def per_sample(self, logits, targets):
        nats = F.cross_entropy(logits, targets, reduction="none", ignore_index=-(2**62))
        return (-(-nats).expm1()) ** self.gamma * nats
'''
SPEC = """

SPEC = LossSpec(
    name="focal-two",
    factory=Focal,
    summary="Focal loss.",
    reference="-",
    needs=frozenset({Need.LOGITS}),
)
"""
LOSS = "idea.py:Focal"
SMALL = ("--data", "synthetic(images=24,test_images_per_class=2)", "--epochs", "1", "--image-size", "32")
TRAINING = (*SMALL, "--device", "cpu", "--workers", "0")
STEPS: dict[str, tuple[str, ...]] = {
    "check": ("check", LOSS, "--no-compile", "--examples", "5", "--law", "Calculus", "--law", "Meaning"),
    "run": ("run", "--loss", LOSS, *TRAINING, "--out", "run"),
    "compare": ("compare", "--losses", f"softmax, {LOSS}", "--seeds", "2", "--jobs", "1", *TRAINING, "--out", "grid"),
    "bench": ("bench", LOSS, "--seconds", "0.02", "--batch-size", "16"),
}


def call(*arguments: str) -> None:
    """Run a command of lossbench in this process.

    Raises:
        LossbenchError: it ended with another exit code than 0.
    """
    before, sys.argv = sys.argv, ["lossbench", *arguments]
    try:
        lossbench_main()
    except SystemExit as end:
        if end.code:
            raise LossbenchError(f"lossbench {' '.join(arguments)} ended with {end.code}") from end
    finally:
        sys.argv = before


def package() -> None:
    """Write a package, put the idea and its spec into it, and run its tests for two groups of laws."""
    write_package("focal-two", "per-sample-logits", Path())
    text = IDEA.replace("import LogitLoss", "import LogitLoss, LossSpec, Need") + SPEC
    Path("focal-two/focal_two.py").write_text(text)
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", "focal-two"]
    chosen = ["-c", "focal-two/pyproject.toml", "-k", "gradient-of-inputs or mean-of-rows or large-logits"]
    if code := pytest.main([*options, *chosen, "focal-two"]):
        raise LossbenchError(f"the tests of the package ended with {code}")


def lines_beyond_the_formula(text: str) -> int:
    """Return the number of lines that are neither blank nor part of `per_sample`.

    Example:
        >>> lines_beyond_the_formula(IDEA)
        7
    """
    functions = (each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef))
    formula = [each for each in functions if each.name == "per_sample"]
    inside = {line for each in formula for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)}
    return sum(bool(line.strip()) and number not in inside for number, line in enumerate(text.splitlines(), 1))


def lines() -> dict[str, int]:
    """Return the lines that an author writes beyond the formula, by what they are for."""
    return {
        "file": lines_beyond_the_formula(IDEA),
        "commands": len(STEPS),
        "package": 1 + lines_beyond_the_formula(SPEC) + 1,  # lossbench new, the spec, and pip install
    }


def carry_out(folder: Path) -> Iterable[tuple[str, float]]:
    """Carry out every step in a folder, and yield its name and seconds."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with contextlib.chdir(folder):
        Path("idea.py").write_text(IDEA)
        todo: dict[str, Callable[[], None]] = {
            name: lambda command=command: call(*command)  # type: ignore[misc]
            for name, command in STEPS.items()
        }
        for name, step in {**todo, "package": package}.items():
            began = time.perf_counter()
            step()
            yield name, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="empty folder to work in")
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    seconds = list(carry_out(folder))
    print(f"\nlossbench {metadata.version('lossbench')}")
    for name, taken in seconds:
        print(f"{name:<10}{taken:7.1f} s")
    counted = lines()
    until_trained = counted["file"] + 1
    print(f"lines beyond the formula: {counted}; until the run: {until_trained}; in all: {sum(counted.values())}")


if __name__ == "__main__":
    main()
