"""Print what the structure of the package is judged by: circles, upward imports, options, long files, lines, suite.

    scripts/structure [--before REF] [--suite]

Imports are counted from source: those inside functions and under TYPE_CHECKING count like any other. `--before` names
the revision that lines are compared with. `--suite` also runs the default test suite in this checkout and in a
worktree of that revision, one after the other, and prints the seconds of both: about 15 minutes on two cores.
Exits with 1 if there is a circle, an upward import, an option written twice, or a long file without a reason.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import graphlib
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
BEFORE = "831eddd"  # the last revision with two flat rooms for harness and report
LONGEST = 200
# Why a file may have more than 200 lines.
REASONS: dict[str, str] = {
    "lossbench/harness/training/trainer.py": "a step and the epoch around it are one loop over the same fields",
    "lossbench/ops/center_distances.py": "one kernel: its value, and its gradients in place and differentiable",
    "lossbench/ops/triplets.py": "one kernel: its value and its first and second derivative",
    "lossbench/runs/options.py": "the one list of the options of a run",
    "lossbench/runs/record.py": "one schema: every field of record.json",
    "lossbench/verdict/two_way.py": "one estimator: its derivation, the variances and the interval",
}

Import = tuple[str, str]


def main() -> int:
    """Print every figure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE, help=f"revision to compare with (default: {BEFORE})")
    parser.add_argument("--suite", action="store_true", help="run the suite of both revisions and time it")
    arguments = parser.parse_args()
    graph = grimp.build_graph("lossbench", cache_dir=None)
    wrong = {
        "circles": circles(graph),
        "upward imports": upward_imports(graph),
        "options written more than once": repeated_options(),
        f"files over {LONGEST} lines without a reason": long_files(),
    }
    print(f"{len(graph.modules)} modules, {graph.count_imports()} imports")
    for name, found in wrong.items():
        print(f"{name}: {len(found)}" + "".join(f"\n    {line}" for line in found))
    for file, reason in REASONS.items():
        print(f"    {lines_of(file)} lines: {file}: {reason}")
    before, now = lines_at(arguments.before), lines_at("HEAD")
    for folder in now:
        change = f", {now[folder] - before[folder]:+,}" if folder in before else ""
        print(f"lines of {folder}: {before[folder]:,} at {arguments.before}, {now[folder]:,} at HEAD{change}")
    if arguments.suite:
        print(f"suite at {arguments.before}: {suite_seconds(arguments.before)}; at HEAD: {suite_seconds('HEAD')}")
    return 1 if any(wrong.values()) else 0


def circles(graph: grimp.ImportGraph) -> list[str]:
    """Return circles of modules, and imports that close a circle between the rooms of a package."""
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    found = []
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        found.append(" -> ".join(error.args[1]))
    packages = {module.rpartition(".")[0] for module in graph.modules} - {""}
    for package in sorted(packages):
        found += [f"{a} -> {b} (between rooms of {package})" for a, b in graph.nominate_cycle_breakers(package)]
    return found


def upward_imports(graph: grimp.ImportGraph) -> list[str]:
    """Return the imports from a lower layer to a higher one, by the layers in `pyproject.toml`."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = []
    for contract in (c for c in contracts if c["type"] == "layers"):
        for container in contract["containers"]:
            floor = {
                f"{container}.{room.strip()}": number
                for number, layer in enumerate(contract["layers"])
                for room in layer.split("|")
            }
            for importer, imported in _imports(graph):
                a, b = _room(importer, container), _room(imported, container)
                if a in floor and b in floor and a != b and floor[a] >= floor[b]:
                    found.append(f"{importer} -> {imported}")
    return found


def _imports(graph: grimp.ImportGraph) -> Iterator[Import]:
    for module in sorted(graph.modules):
        yield from ((module, imported) for imported in sorted(graph.find_modules_directly_imported_by(module)))


def _room(module: str, container: str) -> str:
    return ".".join(module.split(".")[: container.count(".") + 2])


def repeated_options() -> list[str]:
    """Return places where options of a run are written beside their dataclass.

    These are help texts of options, and literal collections of more than three names of options, in any file but
    `runs/options.py`. A command may name the few options that it takes.
    """
    from lossbench.runs.option import about
    from lossbench.runs.options import RunConfig

    names = {field.name for field in dataclasses.fields(RunConfig)}
    helps = {about(RunConfig, name).help: name for name in names}
    found = []
    for path in sorted((ROOT / "lossbench").rglob("*.py")):
        place = path.relative_to(ROOT)
        if place == Path("lossbench/runs/options.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in helps:
                found.append(f"{place}:{node.lineno}: help of {helps[node.value]}")
            elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
                entries = node.keys if isinstance(node, ast.Dict) else node.elts
                texts = [e.value for e in entries if isinstance(e, ast.Constant)]
                if len(texts) > 3 and names.issuperset(texts):
                    found.append(f"{place}:{node.lineno}: list of {', '.join(map(str, texts))}")
    return found


def long_files() -> list[str]:
    """Return the files of the package that are too long and have no reason, and reasons that are no longer needed."""
    lengths = {str(path.relative_to(ROOT)): 0 for path in (ROOT / "lossbench").rglob("*.py")}
    lengths |= {file: lines_of(file) for file in lengths}
    found = [f"{n} lines: {file}" for file, n in lengths.items() if n > LONGEST and file not in REASONS]
    return sorted(found, reverse=True) + [
        f"{file} has a reason, and needs none" for file in REASONS if lengths.get(file, 0) <= LONGEST
    ]


def lines_of(file: str) -> int:
    """Return the number of lines of a file."""
    return len((ROOT / file).read_text().splitlines())


def lines_at(revision: str) -> Counter[str]:
    """Return the lines of Python in each top-level folder at a revision."""
    done = _git("grep", "--count", "", revision, "--", "*.py")
    counted: Counter[str] = Counter()
    for line in done.splitlines():
        file, _, number = line.removeprefix(f"{revision}:").rpartition(":")
        counted[file.split("/")[0] if "/" in file else "conftest.py"] += int(number)
    return counted


def suite_seconds(revision: str) -> str:
    """Run the default suite at a revision, with this environment's packages; return its times and last line."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        _git("worktree", "add", "--detach", str(checkout), revision)
        try:
            environment = os.environ | {"PYTHONPATH": str(checkout)}
            start, cpu = time.monotonic(), os.times()
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
            used = sum(os.times()[2:4]) - sum(cpu[2:4])
            last = done.stdout.strip().splitlines()[-1].strip("= ")
            return f"{time.monotonic() - start:.0f} s ({used:.0f} s of CPU; {last})"
        finally:
            _git("worktree", "remove", "--force", str(checkout))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
