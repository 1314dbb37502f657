"""The distributions under plugins/: found by their entry points, built on public names, trained as a run trains."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import two_epochs
from plugin_sites import projects

import lossbench
from lossbench import loss_info
from lossbench.losses import BUILT_INS
from lossbench.registry import loss_entries

# What plugins/README.md promises, beside `lossbench` itself.
PUBLIC_MODULES = {
    "lossbench.distributed",
    "lossbench.errors",
    "lossbench.losses.arguments",
    "lossbench.losses.center",
    "lossbench.losses.class_weights",
    "lossbench.losses.per_class",
    "lossbench.losses.softmax",
    "lossbench.losses.weighted_softmax",
    "lossbench.ops.centers",
    "lossbench.ops.triplets",
}
# The three of losses written here; a distribution of adapters has an origin instead.
WITH_LOSSES = ("lossbench-cluster", "lossbench-imbalance", "lossbench-margin")


def about(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return found


def offered() -> dict[str, str]:
    """Name of a loss -> its distribution, by the projects' own words."""
    named = {project.name: about(project)["entry-points"].get("lossbench.losses", {}) for project in projects()}
    return {loss: name for name in WITH_LOSSES for loss in named[name]}


def test_every_loss_is_usable_and_says_where_it_comes_from() -> None:
    origins = offered()
    rows = {row.name: row for row in loss_entries(load=True) if row.name in origins}
    assert len(rows) == 16
    for name, row in rows.items():
        assert (row.status, row.origin, row.reason) == ("usable", origins[name], None)


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_a_distribution_states_name_version_and_needs(project: Path) -> None:
    stated = about(project)
    assert stated["name"] == project.name
    assert stated["version"] == lossbench.__version__
    assert any(text.startswith("lossbench>=") for text in stated["dependencies"])
    assert (project / "README.md").read_text().startswith(f"# {project.name}\n")


@pytest.mark.parametrize("name", WITH_LOSSES)
def test_only_public_names_are_used(name: str) -> None:
    (project,) = (project for project in projects() if project.name == name)
    files = sorted((project / "src").rglob("*.py"))
    assert files
    for file in files:
        for module, names in imports(ast.parse(file.read_text())):
            if module == "lossbench":
                assert names <= set(lossbench.__all__), file
            elif module.startswith("lossbench."):
                assert module in PUBLIC_MODULES, f"{file.name} imports {module}"


def imports(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, set()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", {alias.name for alias in node.names}


def test_a_loss_is_documented_where_it_is() -> None:
    for name in offered():
        spec = loss_info(name)
        module = sys.modules[spec.factory.__module__]
        assert "    L " in (module.__doc__ or ""), f"{name}: no formula"
        assert spec.reference != "-", name
        assert spec.loop is not None, name


def test_importing_a_loss_imports_no_kit() -> None:
    """The loops beside the losses are for checking; hypothesis is not imported to train."""
    code = (
        "import sys, lossbench; from lossbench import loss_info\n"
        f"for name in {sorted(offered())}: loss_info(name)\n"
        "assert 'hypothesis' not in sys.modules and 'lossbench.testing' not in sys.modules"
    )
    path = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


@pytest.mark.slow
@pytest.mark.parametrize("precision", two_epochs.PRECISIONS)
@pytest.mark.parametrize("name", two_epochs.names())
def test_two_epochs_stay_finite(name: str, precision: str, tmp_path: Path) -> None:
    """`benchmarks/two_epochs.py` does it on all of the embedded data."""
    data = "synthetic(images=240, test_images_per_class=4)"
    record, _ = two_epochs.finite_run(name, precision, data, tmp_path / "run")
    assert record["config"]["precision"] == precision


def test_that_is_every_loss_of_ours() -> None:
    assert set(two_epochs.names()) == {built_in.name for built_in in BUILT_INS} | set(offered())
