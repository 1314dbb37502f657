"""Map changed files to the tests that exercise them, nearest first.

A test file's distance to a module of lossbench is the number of imports between them, counted over all imports:
1 if the test imports the module itself, 2 if it imports a module that does, and so on. Names imported from
`lossbench` count as imports of the module that defines them. The test named after a module is always first:
`tests/ops/test_centers.py` for `lossbench/ops/centers.py`. Files outside the package have their tests in `BY_FOLDER`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
# The first prefix that a changed file starts with decides.
BY_FOLDER = (
    ("docs/", ("tests/test_docs.py",)),
    ("README.md", ("tests/test_docs.py",)),
    ("CONTRIBUTING.md", ("tests/test_docs.py", "tests/test_contributing.py")),
    ("lossbench/scaffold/templates/", ("tests/scaffold",)),
    ("lossbench/report/templates/", ("tests/report/test_page.py",)),
    ("tests/golden/", ("tests/losses/test_golden.py",)),
    ("conftest.py", ("tests/test_suite_defaults.py",)),
    ("tests/suite_defaults.py", ("tests/test_suite_defaults.py",)),
)


def touched_tests(changed: Iterable[str]) -> list[str]:
    """Return the test paths for changed files (paths from the root), nearest first, without duplicates."""
    distances: dict[str, int] = {}
    for path in changed:
        for test, distance in _tests_of(path):
            distances[test] = min(distance, distances.get(test, distance))
    # At the same distance, a test that imports less is more likely to be about the changed module.
    return sorted(distances, key=lambda test: (distances[test], len(_imports().get(test, ())), test))


def _tests_of(path: str) -> Iterator[tuple[str, int]]:
    file = ROOT / path
    for prefix, tests in BY_FOLDER:
        if path.startswith(prefix):
            yield from ((test, 0) for test in tests if (ROOT / test).exists())
            return
    if path.startswith("plugins/"):
        yield "/".join(path.split("/")[:2]), 0
        yield "tests/plugins", 1
    elif file.suffix != ".py":
        return
    elif file.name.startswith("test_"):
        if file.exists():
            yield path, 0
    elif path.startswith("lossbench/"):
        yield from _tests_of_module(path)
    else:  # benchmarks, scripts, helpers of tests: whoever imports them by name
        if path.startswith("scripts/"):
            yield "tests/test_scripts.py", 0
        yield from ((test, 1) for test, names in _imports().items() if file.stem in names)


def _tests_of_module(path: str) -> Iterator[tuple[str, int]]:
    file = ROOT / path
    if file.exists():
        yield path, 0  # its doctests
    yield from ((str(test.relative_to(ROOT)), 0) for test in ROOT.glob(f"tests/**/test_{file.stem}.py"))
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    importers = _distances(module)
    for test, names in _imports().items():
        if reached := [importers[name] for name in names & importers.keys()]:
            yield test, 1 + min(reached)


def _distances(module: str) -> dict[str, int]:
    """Return each module that imports `module`, and the number of imports in between."""
    graph = grimp.build_graph("lossbench", cache_dir=None)
    found, edge = {module: 0}, {module}
    for distance in range(1, len(graph.modules)):
        edge = {m for e in edge if e in graph.modules for m in graph.find_modules_that_directly_import(e)}
        edge -= {*found, "lossbench"}  # the package's own names are resolved to their modules
        found |= dict.fromkeys(edge, distance)
    return found


@cache
def _imports() -> dict[str, frozenset[str]]:
    """Return the modules that each test file imports; `conftest.py` counts for the tests of its folder."""
    tests = sorted(ROOT.glob("tests/**/test_*.py"))
    return {
        str(test.relative_to(ROOT)): frozenset(_imported(test) | _imported(test.with_name("conftest.py")))
        for test in tests
    }


@cache
def _imported(file: Path) -> set[str]:
    if not file.exists():
        return set()
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    homes = _homes()
    return {homes.get(name, name) for name in names} | {name.rpartition(".")[2] for name in names}


@cache
def _homes() -> dict[str, str]:
    """Return `lossbench.Name` -> the module that defines it."""
    tree = ast.parse((ROOT / "lossbench/__init__.py").read_text())
    return {
        f"lossbench.{alias.name}": f"lossbench.{node.module}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
