"""The scripts of the gate: which tests a change touches, which phrases are found."""

from __future__ import annotations

import grimp
import pytest

import structure
import words
from touched_tests import ROOT, touched_tests


@pytest.mark.parametrize(
    ("changed", "nearest"),
    [
        ("lossbench/ops/centers.py", ["lossbench/ops/centers.py", "tests/losses/test_centers.py"]),
        ("tests/ops/test_centers.py", ["tests/ops/test_centers.py"]),
        ("docs/data.md", ["tests/test_docs.py"]),
        ("plugins/lossbench-margin/src/lossbench_margin/arc_face.py", ["plugins/lossbench-margin", "tests/plugins"]),
        ("tests/wheels.py", ["tests/plugins/test_broken.py", "tests/test_plugins.py"]),
        ("LICENSE", []),
    ],
)
def test_a_change_touches_its_nearest_tests_first(changed: str, nearest: list[str]) -> None:
    assert touched_tests([changed])[:2] == nearest


def test_names_of_the_package_count_as_imports_of_their_modules() -> None:
    touched = touched_tests(["lossbench/objective.py"])
    assert {"tests/test_registry.py", "tests/losses/test_weighted_sum.py"} <= set(touched[:12])  # by `create_loss`


def test_every_touched_test_exists_for_every_module() -> None:
    for module in ("lossbench/errors.py", "lossbench/harness/run.py"):
        touched = touched_tests([module])
        assert len(touched) > 3
        assert all((ROOT / test).exists() for test in touched)


def test_a_phrase_is_found_whatever_its_case() -> None:
    assert [p for p in words.PHRASES if words.matches(p, "Is No loss, and judged anew")] == [
        r"\banew\b",
        next(p for p in words.PHRASES if r"\bis no " in p),
    ]
    assert not [p for p in words.PHRASES if words.matches(p, "is no longer used; a line, an image")]


def test_the_package_has_no_circles_no_upward_imports_no_long_files_and_writes_options_once() -> None:
    graph = grimp.build_graph("lossbench", cache_dir=None)
    assert graph.count_imports() > 500
    assert structure.circles(graph) == []
    assert structure.upward_imports(graph) == []
    assert structure.repeated_options() == []
    assert structure.long_files() == []


def test_circles_of_modules_and_of_rooms_are_found() -> None:
    modules = graph_of(("p.a", "p.b"), ("p.b", "p.c"), ("p.c", "p.a"))
    assert "p.a" in structure.circles(modules)[0]
    rooms = graph_of(("p.a.x", "p.b.x"), ("p.b.y", "p.a.y"), packages=("p.a", "p.b"))
    (found,) = structure.circles(rooms)
    assert "between rooms of p" in found


def test_an_upward_import_is_found() -> None:
    graph = graph_of(("lossbench.losses.x", "lossbench.cli.x"), packages=("lossbench.losses", "lossbench.cli"))
    assert structure.upward_imports(graph) == ["lossbench.losses.x -> lossbench.cli.x"]


def graph_of(*imports: tuple[str, str], packages: tuple[str, ...] = ()) -> grimp.ImportGraph:
    graph = grimp.ImportGraph()
    for module in (imports[0][0].partition(".")[0], *packages, *{m for pair in imports for m in pair}):
        graph.add_module(module)
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported)
    return graph
