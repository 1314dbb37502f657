"""The distributions under plugins/: found by their entry points, built on public names, trained as a run trains."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import two_epochs
from on_request import long_but
from plugin_sites import projects

import lossbench.authoring
import lossbench.scaffold
from lossbench import loss_info
from lossbench.losses import BUILT_INS
from lossbench.registry import loss_entries

# What authors build on, beside the names of `lossbench` itself; `lossbench.authoring` and plugins/README.md list it.
PUBLIC_MODULES = {"lossbench.authoring", "lossbench.detectors", "lossbench.distributed", "lossbench.errors"}
TEMPLATES = Path(lossbench.scaffold.__file__).parent / "templates"
# The three of losses written here; a distribution of adapters has an origin instead.
WITH_LOSSES = ("lossbench-cluster", "lossbench-imbalance", "lossbench-margin")


# One with a state, and one of each distribution; the others on request.
A_FEW = ("weighted-cluster", "contrastive-center", "ldam", "arc-face")
# By default as most runs are; with other precisions on request.
PRECISIONS = [two_epochs.PRECISIONS[0], *(pytest.param(p, marks=pytest.mark.long) for p in two_epochs.PRECISIONS[1:])]


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


def sources() -> list[Path]:
    return [
        *sorted(file for project in projects() for file in (project / "src").rglob("*.py")),
        *sorted(TEMPLATES.glob("*.py.template")),
    ]


@pytest.mark.parametrize("file", sources(), ids=lambda file: file.name.partition(".")[0])
def test_only_public_names_are_used(file: Path) -> None:
    text = re.sub(r"\$(\w+)", r"\1", file.read_text())  # a template's placeholders
    allowed = PUBLIC_MODULES | ({"lossbench.testing"} if file.name.startswith("test_") else set())
    for module, names in imports(ast.parse(text)):
        if module == "lossbench":
            assert names <= set(lossbench.__all__)
        elif module.startswith("lossbench."):
            assert module in allowed, f"{file.name} imports {module}"
            assert names <= set(getattr(importlib.import_module(module), "__all__", names))


def test_the_door_for_authors_lists_its_names() -> None:
    listed = set(re.findall(r"`(\w+)`", lossbench.authoring.__doc__ or "")) - {"lossbench"}
    assert set(lossbench.authoring.__all__) - {"ClassStatistics"} <= listed


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


@pytest.mark.long
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
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", long_but(A_FEW, two_epochs.names()))
def test_two_epochs_stay_finite(name: str, precision: str, tmp_path: Path) -> None:
    """`benchmarks/two_epochs.py` does it on all of the embedded data."""
    data = "synthetic(images=128, test_images_per_class=4)"
    record, _ = two_epochs.finite_run(name, precision, data, tmp_path / "run")
    assert record.config["precision"] == precision


def test_that_is_every_loss_of_ours() -> None:
    assert set(two_epochs.names()) == {built_in.name for built_in in BUILT_INS} | set(offered())
