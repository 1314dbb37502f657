"""What the documents show is true: their Python runs, their links lead somewhere, their commands are the real ones."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "plugins" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


def test_the_readme_loop_runs() -> None:
    (loop,) = blocks(ROOT / "README.md", "python")
    names: dict[str, Any] = {}
    exec(compile(loop, "README.md", "exec"), names)
    assert names["value"].isfinite()
    assert not names["loss"].terms[1].centers.isnan().any()


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert (
        "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/lossbench run --loss weighted-cluster" in text
    )
    test = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/python -m pytest"
    assert test in text
    # The gate runs the same, quietly.
    assert test in (ROOT / ".ci" / "run").read_text().replace("install -q -e", "install -e")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_the_readme_table_says_the_joint_objectives() -> None:
    from lossbench import loss_info
    from lossbench.losses import BUILT_INS

    text = (ROOT / "README.md").read_text()
    for name in (built_in.name for built_in in BUILT_INS):
        joint = loss_info(name).joint
        if joint:
            coefficient = re.search(r"\+ ([\d.]+)\*", joint)
            assert coefficient
            assert f"+ {coefficient[1]} {name} |" in text


def test_public_names_are_importable_and_listed() -> None:
    import lossbench

    assert lossbench.__all__ == sorted(lossbench.__all__)
    for name in lossbench.__all__:
        assert getattr(lossbench, name) is not None
    assert set(lossbench.__all__) <= set(dir(lossbench))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lossbench.nothing  # noqa: B018


def test_versions_agree() -> None:
    import lossbench

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == lossbench.__version__
    assert f"version: {lossbench.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_nothing_of_a_machine_is_committed() -> None:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    files = listing.stdout.split()
    assert not [f for f in files if f.endswith(("uv.lock", ".safetensors", ".pkl", ".pth", ".jpg", ".jpeg"))]
